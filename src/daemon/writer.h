/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that makes sealed bytes durable: one request after the other, each acknowledged when
 * it is on the disk. Sees no clear text, reads nobody but the keeper, and can reach one folder.
 *
 * Requests: {"op":"read","id":n,"name":s,"max":n}, {"op":"write",...}+bytes, {"op":"remove",...},
 * {"op":"list","id":n}; answers: {"op":"done","id":n,"r":0|-errno,"names"?:[...]}+bytes of a read.
 */
#pragma once

/* Runs until the keeper closes @fd; then returns the exit status. @dirfd: the store's folder,
 * readable. */
int writer_main(int fd, int dirfd);
