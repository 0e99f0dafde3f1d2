#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A person at a browser, as far as --auto-consent needs one: follows redirects and shows where it ended."""

import sys
import urllib.request

with urllib.request.urlopen(sys.argv[1], timeout=60) as page:
    print(page.status, page.url)
    print(page.read().decode())
