/* gram.h -- the dot products of all pairs of some vectors, for methods whose result is a linear
 * combination of the inputs: norms, cosines and whole iterations come from these few numbers in f64,
 * and the tensors are read twice whatever the method does with them.
 *
 * Pairs i <= j are at j*(j+1)/2 + i. */
/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LDL_METHOD_GRAM_H
#define LDL_METHOD_GRAM_H

#include "method/method.h"

/* Most models of such a method, which may add a base: its facts are doubles for each pair and block, 4 KB at 32 models. */
enum { LDL_GRAM_MODELS = LDL_GRAM_MOST - 1 };

static inline size_t ldl_gram_facts(size_t vectors)
{
    return vectors * (vectors + 1) / 2;
}
static inline double ldl_gram_at(const double *gram, size_t i, size_t j)
{
    return i < j ? gram[j * (j + 1) / 2 + i] : gram[i * (i + 1) / 2 + j];
}
/* |v_i| */
double ldl_gram_norm(const double *gram, size_t i);

/* Of run->t[i] (- run->base, when there is one; run->t is overwritten). */
void ldl_gram_changes(const struct ldl_kern *k, const struct ldl_runs *run, double *gram);
/* (sum a_i v_i) . (sum b_i v_i) */
double ldl_gram_dot(const double *gram, size_t vectors, const double *a, const double *b);

#endif
