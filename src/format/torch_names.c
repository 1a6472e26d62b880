/* torch_names.c -- every name that a pickle of torch.save may mention. None of them is ever called:
 * a name that is not here ends the reading, and one that is here is only remembered. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "format/torch_dict.h"

#include <string.h>

#define INERT(module, name)                                                                        \
    {                                                                                              \
        module, name, LDL_TORCH_INERT                                                              \
    }
#define CLASS(module, name, class)                                                                 \
    {                                                                                              \
        module, name, LDL_TORCH_##class                                                            \
    }
#define STORAGE(name, dtype, unit)                                                                 \
    {                                                                                              \
        "torch", name, LDL_TORCH_ID(LDL_TORCH_STORAGE, dtype, unit)                                \
    }
#define DTYPE(name, dtype, unit)                                                                   \
    {                                                                                              \
        "torch", name, LDL_TORCH_ID(LDL_TORCH_DTYPE, dtype, unit)                                  \
    }
#define BOTH_BUILTINS(name) INERT("builtins", name), INERT("__builtin__", name)
#define UTILS(name, class)  CLASS("torch._utils", name, class)

const struct ldl_pickle_name ldl_torch_names[] = {
    UTILS("_rebuild_tensor_v2", TENSOR),
    UTILS("_rebuild_tensor", TENSOR),
    UTILS("_rebuild_tensor_v3", TENSOR_V3),
    UTILS("_rebuild_parameter", PARAMETER),
    UTILS("_rebuild_parameter_with_state", PARAMETER),
    CLASS("torch._tensor", "_rebuild_from_type_v2", FROM_TYPE),
    CLASS("torch._tensor", "_rebuild_from_type", FROM_TYPE),
    CLASS("torch", "Tensor", CLASS),
    CLASS("torch._tensor", "Tensor", CLASS),
    CLASS("torch.nn.parameter", "Parameter", CLASS),
    CLASS("torch.nn.parameter", "Buffer", CLASS),
    CLASS("torch", "Size", SIZE),

    UTILS("_rebuild_sparse_tensor", OTHER),
    UTILS("_rebuild_sparse_csr_tensor", OTHER),
    UTILS("_rebuild_qtensor", OTHER),
    UTILS("_rebuild_nested_tensor", OTHER),
    UTILS("_rebuild_meta_tensor_no_storage", OTHER),
    UTILS("_rebuild_device_tensor_from_numpy", OTHER),
    UTILS("_rebuild_device_tensor_from_cpu_tensor", OTHER),
    UTILS("_rebuild_wrapper_subclass", OTHER),
    CLASS("numpy.core.multiarray", "_reconstruct", OTHER),
    CLASS("numpy._core.multiarray", "_reconstruct", OTHER),
    CLASS("numpy.core.numeric", "_frombuffer", OTHER),
    CLASS("numpy._core.numeric", "_frombuffer", OTHER),

    STORAGE("DoubleStorage", LDL_F64, 8),
    STORAGE("FloatStorage", LDL_F32, 4),
    STORAGE("HalfStorage", LDL_F16, 2),
    STORAGE("BFloat16Storage", LDL_BF16, 2),
    STORAGE("LongStorage", LDL_I64, 8),
    STORAGE("IntStorage", LDL_I32, 4),
    STORAGE("ShortStorage", LDL_I16, 2),
    STORAGE("CharStorage", LDL_I8, 1),
    STORAGE("ByteStorage", LDL_U8, 1),
    STORAGE("BoolStorage", LDL_BOOL, 1),
    STORAGE("UntypedStorage", LDL_U8, 1),
    { "torch.storage", "UntypedStorage", LDL_TORCH_ID(LDL_TORCH_STORAGE, LDL_U8, 1) },
    STORAGE("ComplexDoubleStorage", LDL_DTYPES, 16),
    STORAGE("ComplexFloatStorage", LDL_DTYPES, 8),
    STORAGE("QInt32Storage", LDL_DTYPES, 4),
    STORAGE("QInt8Storage", LDL_DTYPES, 1),
    STORAGE("QUInt8Storage", LDL_DTYPES, 1),
    STORAGE("QUInt4x2Storage", LDL_DTYPES, 1),
    STORAGE("QUInt2x4Storage", LDL_DTYPES, 1),

    DTYPE("float64", LDL_F64, 8),
    DTYPE("float32", LDL_F32, 4),
    DTYPE("float16", LDL_F16, 2),
    DTYPE("bfloat16", LDL_BF16, 2),
    DTYPE("float8_e4m3fn", LDL_F8_E4M3, 1),
    DTYPE("float8_e5m2", LDL_F8_E5M2, 1),
    DTYPE("int64", LDL_I64, 8),
    DTYPE("int32", LDL_I32, 4),
    DTYPE("int16", LDL_I16, 2),
    DTYPE("int8", LDL_I8, 1),
    DTYPE("uint64", LDL_U64, 8),
    DTYPE("uint32", LDL_U32, 4),
    DTYPE("uint16", LDL_U16, 2),
    DTYPE("uint8", LDL_U8, 1),
    DTYPE("bool", LDL_BOOL, 1),
    DTYPE("complex128", LDL_DTYPES, 16),
    DTYPE("complex64", LDL_DTYPES, 8),
    DTYPE("complex32", LDL_DTYPES, 4),
    DTYPE("float8_e4m3fnuz", LDL_DTYPES, 1),
    DTYPE("float8_e5m2fnuz", LDL_DTYPES, 1),
    DTYPE("float8_e8m0fnu", LDL_DTYPES, 1),
    DTYPE("float4_e2m1fn_x2", LDL_DTYPES, 1),
    DTYPE("qint32", LDL_DTYPES, 4),
    DTYPE("qint8", LDL_DTYPES, 1),
    DTYPE("quint8", LDL_DTYPES, 1),

    CLASS("collections", "OrderedDict", DICT),
    CLASS("collections", "defaultdict", DICT),
    CLASS("collections", "Counter", DICT),
    CLASS("builtins", "dict", DICT),
    CLASS("__builtin__", "dict", DICT),
    INERT("collections", "deque"),
    BOTH_BUILTINS("set"),
    BOTH_BUILTINS("frozenset"),
    BOTH_BUILTINS("list"),
    BOTH_BUILTINS("tuple"),
    BOTH_BUILTINS("int"),
    BOTH_BUILTINS("float"),
    BOTH_BUILTINS("bool"),
    BOTH_BUILTINS("str"),
    BOTH_BUILTINS("bytes"),
    BOTH_BUILTINS("bytearray"),
    BOTH_BUILTINS("complex"),
    BOTH_BUILTINS("slice"),
    BOTH_BUILTINS("range"),
    BOTH_BUILTINS("object"),
    INERT("__builtin__", "long"),
    INERT("__builtin__", "unicode"),
    INERT("_codecs", "encode"),
    INERT("copyreg", "_reconstructor"),
    INERT("copy_reg", "_reconstructor"),
    INERT("_io", "BytesIO"),
    INERT("argparse", "Namespace"),
    INERT("types", "SimpleNamespace"),
    INERT("pathlib", "Path"),
    INERT("pathlib", "PosixPath"),
    INERT("pathlib", "PurePosixPath"),
    INERT("pathlib", "WindowsPath"),
    INERT("pathlib", "PureWindowsPath"),
    INERT("pathlib._local", "PosixPath"),
    INERT("pathlib._local", "WindowsPath"),
    INERT("datetime", "datetime"),
    INERT("datetime", "date"),
    INERT("datetime", "timedelta"),
    INERT("datetime", "timezone"),
    INERT("numpy", "dtype"),
    INERT("numpy", "ndarray"),
    INERT("numpy.core.multiarray", "scalar"),
    INERT("numpy._core.multiarray", "scalar"),
    INERT("torch", "device"),
    INERT("torch", "per_tensor_affine"), /* how a quantized tensor is meant */
    INERT("torch", "per_channel_affine"),
    INERT("torch", "per_channel_affine_float_qparams"),
    INERT("torch.serialization", "_get_layout"),
    { NULL, NULL, 0 },
};

static int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

const char *ldl_torch_why(const char *module, const char *name)
{
    (void)name;
    if (begins(module, "__torch__"))
        return "a TorchScript archive (a program), not a checkpoint; save its state_dict with "
               "torch.save";
    if (begins(module, "torch.nn.modules"))
        return "a whole module, not a checkpoint; save its state_dict with torch.save";
    return NULL;
}

int ldl_torch_claims(const char *file_name)
{
    static const char *const suffix[] = { ".bin", ".pt", ".pth", ".ckpt" };
    for (size_t i = 0; i < LDL_COUNT(suffix); i++)
        if (ldl_has_suffix(file_name, suffix[i]))
            return 1;
    return 0;
}

/* A pickle whose first value is the magic number, behind PROTO and perhaps a FRAME. */
int ldl_torch_is_legacy(const unsigned char *head, size_t n)
{
    static const char magic[] = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    size_t skip[] = { 2, 11 };
    for (size_t i = 0; i < LDL_COUNT(skip); i++)
        if (n >= skip[i] + sizeof magic - 1 && head[0] == 0x80 &&
            memcmp(head + skip[i], magic, sizeof magic - 1) == 0)
            return 1;
    return 0;
}
