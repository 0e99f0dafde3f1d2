/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of one element of an XML answer (AWS speaks nothing else here). A scanner and no XML
 * processor: it knows elements, attributes, comments and the five predefined entities, and refuses
 * all else; a document type above all, with which a document can name files and grow without end.
 */
#pragma once

#include "base/buf.h"

#define XML_DEPTH_MAX 16

/*
 * Appends the text of the element @name that stands right in an element @parent. The whole document
 * is looked at: one that goes wrong behind the element is refused as well. 0, -ENOENT: none;
 * -EBADMSG: not well-formed, more than this scanner knows, two of them, or one with elements in it;
 * -ENOMEM, -EMSGSIZE. @out is as it was after a failure.
 */
int xml_text(const char *data, size_t len, const char *parent, const char *name, struct buf *out)
        MUST_CHECK;
