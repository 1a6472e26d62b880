/* yaml_scalar.h -- what a YAML scalar's text means: PyYAML's implicit resolvers of YAML 1.1.
 *
 *   null   ~ null Null NULL, or nothing
 *   bool   yes no on off true false, each in three casings (not y and n)
 *   int    [-+]? of 0b.. 0.. (octal) 0x.. or decimal, or base 60 (1:30 is 90); '_' between digits
 *   float  [-+]?9.9 with an exponent only if it is signed (1.0e+5), .9 without sign, base 60 with a
 *          point, [-+]?.inf .nan
 *   text   all else: 1e5, 1.0e5, -.5, 08, 0o7, 2001-01-01, <<, =
 *
 * Whole numbers of bases other than 10 are exact to 64 bits and close beyond. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_BASE_YAML_SCALAR_H
#define LDL_BASE_YAML_SCALAR_H

#include "base/yaml.h"

/* Sets kind, num and integer from node->text. 0, or -1: no memory. */
int ldl_yaml_resolve(struct ldl_yaml_node *node);
/* The same for a scalar with an explicit tag !!null, !!bool, !!int, !!float or !!str (kind).
 * 0, 1: the text is not of that kind, -1: no memory. */
int ldl_yaml_convert(struct ldl_yaml_node *node, enum ldl_yaml_kind kind);

#endif
