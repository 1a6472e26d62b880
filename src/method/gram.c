/* gram.c -- see gram.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "method/gram.h"

#include <math.h>

double ldl_gram_norm(const double *gram, size_t i)
{
    return sqrt(ldl_gram_at(gram, i, i));
}

void ldl_gram_changes(const struct ldl_kern *k, const struct ldl_runs *run, double *gram)
{
    for (size_t i = 0; run->base && i < run->m; i++)
        k->sub(run->t[i], run->base, run->n);
    k->gram(gram, (const float *const *)run->t, run->m, run->n);
}

double ldl_gram_dot(const double *gram, size_t vectors, const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < vectors; i++)
        for (size_t j = 0; j < vectors; j++)
            sum += a[i] * b[j] * ldl_gram_at(gram, i, j);
    return sum;
}
