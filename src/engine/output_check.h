/* output_check.h -- what output.c asks output_check.c: may this be written, may that be removed. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_ENGINE_OUTPUT_CHECK_H
#define LDL_ENGINE_OUTPUT_CHECK_H

#include "engine/output.h"

/* Folders in an OUT that cannot be renamed: the work folder, and the old files while they wait. */
extern const char ldl_output_work_inside[], ldl_output_old_inside[];

/* Fills in where things go, then checks all of it; writes nothing. *o is zeroed before; whatever
 * comes out, the caller frees it. */
int ldl_output_survey(struct ldl_output *o, const struct ldl_output_spec *spec,
                      struct ldl_err *err);
/* OUT exists: may it be replaced? seen (may be NULL) gets the relative paths of all that is in it,
 * folders before their items. */
int ldl_output_content(const struct ldl_output *o, struct ldl_names *seen, struct ldl_err *err);
/* The work folder, if there is one: is it a left-over that may be cleared? Does not ask who holds
 * its lock. */
int ldl_output_left_over(const struct ldl_output *o, struct ldl_err *err);
int ldl_output_fail_busy(const struct ldl_output *o, struct ldl_err *err);
/* What belongs to the folder itself: the file system's lost+found, and the work folder (whose
 * content is judged by ldl_output_left_over()). */
int ldl_output_is_furniture(const char *name);
/* Removes the files below dir, those that could be ours (also: this run's copy list) or, with also
 * NULL, all; and the folders that are empty then. */
int ldl_output_clear(const char *dir, const struct ldl_names *also, struct ldl_err *err);
/* The same and dir itself. */
int ldl_output_remove(const char *dir, const struct ldl_names *also, struct ldl_err *err);
/* Removes what ldl_output_content() saw, which is now in dir, and dir. What came in since makes it
 * fail, as a folder that is not empty. */
int ldl_output_remove_seen(const char *dir, const struct ldl_names *seen, struct ldl_err *err);

#endif
