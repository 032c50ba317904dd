use tfjet_core::{AttrValue, Attrs};

/// More outputs than this are taken for a damaged file.
const MAX_OUTPUTS: u32 = 1 << 16;

/// How many outputs an op has, or `None` for an op that this converter does not know.
pub fn output_count(op: &str, attrs: &Attrs) -> Option<u32> {
    let attr = |name: &str| match attrs.get(name) {
        Some(AttrValue::Int(count)) => u32::try_from(*count)
            .ok()
            .filter(|&count| count <= MAX_OUTPUTS),
        Some(AttrValue::Types(types)) => u32::try_from(types.len()).ok(),
        _ => None,
    };
    match op {
        "NoOp" | "Assert" | "PrintV2" | "TensorArrayCloseV2" | "TensorArrayCloseV3" => Some(0),
        "Split" => attr("num_split"),
        "SplitV" => attr("num_split"),
        "Unpack" => attr("num"),
        "_SwitchN" => attr("num_outs"),
        "ShapeN" | "ConcatOffset" => attr("N"),
        "DynamicPartition" => attr("num_partitions"),
        "IdentityN" => attr("T"),
        "TopK"
        | "TopKV2"
        | "Switch"
        | "Merge"
        | "RefSwitch"
        | "RefMerge"
        | "TensorArrayV3"
        | "TensorArrayConcatV2"
        | "TensorArrayConcatV3"
        | "NonMaxSuppressionV4"
        | "TensorListConcat"
        | "TensorListConcatV2"
        | "TensorListPopBack"
        | "ListDiff"
        | "MaxPoolWithArgmax"
        | "Unique"
        | "UniqueV2" => Some(2),
        "NonMaxSuppressionV5" | "UniqueWithCounts" | "UniqueWithCountsV2" => Some(3),
        "CombinedNonMaxSuppression" => Some(4),
        "TfjetMultiClassNonMaxSuppression" => match attrs.get("fields") {
            Some(AttrValue::Ints(fields)) => u32::try_from(fields.len()).ok()?.checked_add(4),
            _ => Some(4),
        },
        "FusedBatchNorm" | "FusedBatchNormV2" => Some(5),
        "FusedBatchNormV3" => Some(6),
        "PartitionedCall"
        | "StatefulPartitionedCall"
        | "If"
        | "StatelessIf"
        | "Case"
        | "StatelessCase" => attr("Tout"),
        "While" | "StatelessWhile" => attr("T"),
        _ if is_known(op) => Some(1),
        _ => None,
    }
}

fn is_known(op: &str) -> bool {
    tfjet_ops::is_supported(op)
        || crate::lower::is_lowered(op)
        || matches!(
            op,
            "Const"
                | "Placeholder"
                | "PlaceholderWithDefault"
                | "Enter"
                | "Exit"
                | "NextIteration"
                | "LoopCond"
        )
}
