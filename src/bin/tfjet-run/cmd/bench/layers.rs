//! What TensorRT made of a network: its engine inspector's JSON, joined with the profiler's times.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// One layer of an engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct LayerRow {
    pub(super) name: String,
    /// TensorRT's layer type, such as `CaskConvolution`.
    pub(super) kind: String,
    /// Mean of the profiled runs.
    pub(super) ms: Option<f32>,
    /// Type of the first input as TensorRT holds it: FP32, FP16, INT8, INT32, BOOL.
    pub(super) precision: String,
    /// The kernel that TensorRT chose.
    pub(super) kernel: String,
    /// Why the layer's multiplications do not run on Tensor Cores; absent where they do or where
    /// the layer has none.
    pub(super) tensor_cores_idle: Option<String>,
}

/// Layers of the inspector's JSON in its order, with the times of the profiler by name.
///
/// An engine that was built without detailed profiling lists names only; type, precision and
/// kernel are then empty.
pub(super) fn rows(inspected: &str, times: &[(String, f32)]) -> Result<Vec<LayerRow>, String> {
    let inspected: Value = serde_json::from_str(inspected)
        .map_err(|error| format!("the engine inspector's text is no JSON: {error}"))?;
    let layers = inspected
        .get("Layers")
        .and_then(Value::as_array)
        .ok_or("the engine inspector's JSON has no \"Layers\"")?;
    let mut times: BTreeMap<&str, f32> = times
        .iter()
        .map(|(name, ms)| (name.as_str(), *ms))
        .collect();
    let mut rows: Vec<LayerRow> = layers
        .iter()
        .map(|layer| {
            let name = layer
                .as_str()
                .map_or_else(|| text(layer, "Name"), str::to_owned);
            LayerRow {
                ms: times.remove(name.as_str()),
                kind: text(layer, "LayerType"),
                precision: precision(layer).into(),
                kernel: kernel(layer),
                tensor_cores_idle: tensor_cores_idle(layer),
                name,
            }
        })
        .collect();
    rows.extend(times.into_iter().map(|(name, ms)| LayerRow {
        name: name.into(),
        kind: String::new(),
        ms: Some(ms),
        precision: String::new(),
        kernel: String::new(),
        tensor_cores_idle: None,
    }));
    Ok(rows)
}

fn text(layer: &Value, key: &str) -> String {
    layer
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .into()
}

fn kernel(layer: &Value) -> String {
    match text(layer, "TacticName") {
        name if name.is_empty() => text(layer, "Metadata"),
        name => name,
    }
}

fn format(layer: &Value, tensors: &str) -> String {
    let tensor = layer.get(tensors).and_then(|tensors| tensors.get(0));
    tensor.map_or_else(String::new, |tensor| {
        match text(tensor, "Format/Datatype") {
            format if format.is_empty() => text(tensor, "Format"),
            format => format,
        }
    })
}

fn precision(layer: &Value) -> &'static str {
    let format = match format(layer, "Inputs") {
        format if format.is_empty() => format_of_output(layer),
        format => format,
    };
    let format = format.to_ascii_uppercase();
    const NAMES: [(&str, &str); 12] = [
        ("UINT8", "UINT8"),
        ("FP16", "FP16"),
        ("HALF", "FP16"),
        ("BF16", "BF16"),
        ("BFLOAT16", "BF16"),
        ("INT8", "INT8"),
        ("INT32", "INT32"),
        ("INT64", "INT64"),
        ("BOOL", "BOOL"),
        ("FP8", "FP8"),
        ("FP32", "FP32"),
        ("FLOAT", "FP32"),
    ];
    let found = NAMES.iter().find(|(word, _)| format.contains(word));
    found.map_or("", |(_, name)| name)
}

fn format_of_output(layer: &Value) -> String {
    format(layer, "Outputs")
}

/// Tensor Cores take FP16 products, and TF32 ones of FP32 data, whose channels come in multiples of
/// 8, and INT8 products in multiples of 16 (TensorRT's guide on Tensor Core alignment).
fn tensor_cores_idle(layer: &Value) -> Option<String> {
    let parameters = text(layer, "ParameterType");
    let kind = text(layer, "LayerType");
    let multiplies = [&parameters, &kind].iter().any(|word| {
        [
            "Convolution",
            "Deconvolution",
            "FullyConnected",
            "MatrixMultiply",
            "Gemm",
            "gemm",
        ]
        .iter()
        .any(|known| word.contains(known))
    });
    if !multiplies {
        return None;
    }
    let kernel = kernel(layer).to_ascii_lowercase();
    let groups = layer.get("Groups").and_then(Value::as_u64).unwrap_or(1);
    let maps = layer.get("OutMaps").and_then(Value::as_u64);
    let channels = layer
        .pointer("/Inputs/0/Dimensions/1")
        .and_then(Value::as_i64)
        .and_then(|channels| u64::try_from(channels).ok());
    let named = [
        "tensorop",
        "tensor16x8",
        "884",
        "1688",
        "16816",
        "8816",
        "16832",
        "hmma",
        "imma",
        "tf32",
        "wgmma",
    ]
    .iter()
    .any(|word| kernel.contains(word));
    if named {
        return None;
    }
    if groups > 1 && maps == Some(groups) {
        return Some("depthwise".into());
    }
    let multiple = match precision(layer) {
        "INT8" => 16,
        _ => 8,
    };
    if let Some(odd) = [channels, maps]
        .into_iter()
        .flatten()
        .find(|count| count % multiple != 0)
    {
        return Some(format!("{odd} channels are no multiple of {multiple}"));
    }
    match precision(layer) {
        "FP32" => Some("FP32".into()),
        _ if kernel.is_empty() => None,
        _ => Some("TensorRT chose a kernel without them".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kernel: &str, format: &str, channels: u32, maps: u32, groups: u32) -> String {
        serde_json::json!({"Layers": [{
            "Name": "conv",
            "LayerType": "CaskConvolution",
            "ParameterType": "Convolution",
            "Groups": groups,
            "OutMaps": maps,
            "Inputs": [{"Name": "x", "Dimensions": [1, channels, 8, 8], "Format/Datatype": format}],
            "TacticName": kernel,
        }]})
        .to_string()
    }

    #[test]
    fn says_why_tensor_cores_are_idle() {
        let half = "Channel major FP16 format where channel % 8 == 0";
        let int8 = "Four wide channel vectorized row major Int8 format";
        for (kernel, format, channels, maps, groups, expected) in [
            (
                "sm80_xmma_fprop_implicit_gemm_f16f16_tensor16x8x16",
                half,
                64,
                64,
                1,
                None,
            ),
            (
                "sm80_xmma_fprop_implicit_gemm_tf32f32_tf32f32",
                "Row major linear FP32",
                64,
                64,
                1,
                None,
            ),
            (
                "ampere_scudnn_128x64_relu",
                "Row major linear FP32",
                64,
                64,
                1,
                Some("FP32"),
            ),
            (
                "cuda_core_kernel",
                half,
                3,
                64,
                1,
                Some("3 channels are no multiple of 8"),
            ),
            (
                "cuda_core_kernel",
                half,
                64,
                921,
                1,
                Some("921 channels are no multiple of 8"),
            ),
            (
                "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_tensor16x8x32",
                "Thirty-two wide channel vectorized row major Int8 format",
                64,
                64,
                1,
                None,
            ),
            (
                "turing_int8_i8816cudnn_int8_256x128_ldg16_relu",
                int8,
                64,
                64,
                1,
                None,
            ),
            (
                "cuda_core_kernel",
                int8,
                24,
                64,
                1,
                Some("24 channels are no multiple of 16"),
            ),
            ("depthwise_kernel", half, 64, 64, 64, Some("depthwise")),
            (
                "odd_kernel",
                half,
                64,
                64,
                1,
                Some("TensorRT chose a kernel without them"),
            ),
        ] {
            let rows = rows(&layer(kernel, format, channels, maps, groups), &[]).unwrap();
            assert_eq!(rows[0].tensor_cores_idle.as_deref(), expected, "{kernel}");
            assert_eq!(rows[0].kernel, kernel);
        }
    }

    #[test]
    fn joins_times_by_name_and_keeps_strangers() {
        let times = [("conv".to_owned(), 0.5), ("copy".to_owned(), 0.1)];
        let rows = rows(&layer("k", "Row major linear FP32", 8, 8, 1), &times).unwrap();
        let found: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.ms)).collect();
        assert_eq!(found, [("conv", Some(0.5)), ("copy", Some(0.1))]);
        assert_eq!(rows[0].precision, "FP32");
    }

    #[test]
    fn the_type_of_the_input_is_the_precision() {
        for (format, expected) in [
            ("Four wide channel vectorized row major Int8 format", "INT8"),
            ("Row major linear INT8 format", "INT8"),
            ("Row major linear UINT8 format", "UINT8"),
            (
                "Sixteen wide channel vectorized row major FP16 format",
                "FP16",
            ),
            ("Row major Int32", "INT32"),
        ] {
            let rows = rows(&layer("k", format, 32, 32, 1), &[]).unwrap();
            assert_eq!(rows[0].precision, expected, "{format}");
        }
    }

    #[test]
    fn takes_engines_without_detail() {
        let rows = rows(r#"{"Layers": ["a", "b"], "Bindings": []}"#, &[]).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].name, "b");
        assert!(super::rows("{}", &[]).is_err());
        assert!(super::rows("?", &[]).is_err());
    }
}
