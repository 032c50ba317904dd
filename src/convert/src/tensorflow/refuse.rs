//! What keeps a graph from being frozen.

/// Does the op change a variable?
pub(super) fn is_assignment(op: &str) -> bool {
    const STARTS: [&str; 6] = [
        "Assign",
        "ResourceApply",
        "ResourceSparseApply",
        "ResourceScatter",
        "Apply",
        "SparseApply",
    ];
    const OPS: [&str; 13] = [
        "ScatterUpdate",
        "ScatterAdd",
        "ScatterSub",
        "ScatterMul",
        "ScatterDiv",
        "ScatterMin",
        "ScatterMax",
        "ScatterNdUpdate",
        "ScatterNdAdd",
        "ScatterNdSub",
        "ResourceStridedSliceAssign",
        "StridedSliceAssign",
        "CountUpTo",
    ];
    op == "ResourceCountUpTo"
        || OPS.contains(&op)
        || STARTS.iter().any(|start| op.starts_with(start))
}

/// Is it a node that holds a variable?
pub(super) fn is_variable(op: &str) -> bool {
    matches!(op, "VarHandleOp" | "VariableV2" | "Variable")
}

/// Why an output must not depend on a node of this op, where that is so: what it does, and what
/// to do instead.
pub(super) fn refusal(op: &str) -> Option<&'static str> {
    const TABLE: &str = "reads a lookup table, and a table cannot be frozen; look up outside the model and feed what it returns with --input, or cut before it with --output";
    const PYTHON: &str = "calls Python, which is not in the model; feed what it returns with --input, or cut before it with --output";
    const DATA: &str = "reads a data set; feed what it returns with --input";
    const QUEUE: &str = "reads a queue; feed what it returns with --input";
    const STABLE_HLO: &str = "holds a program for XLA instead of TensorFlow ops; export with jax2tf.convert(native_serialization=False)";
    const CALL: &str =
        "calls a function in a way that is not supported; feed what it returns with --input";
    const EXAMPLE: &str = "reads serialized tf.Example messages; choose a signature that takes tensors, or feed what it returns with --input";
    if op.starts_with("LookupTable") {
        return Some(TABLE);
    }
    if op.starts_with("IteratorGetNext") || op.contains("Dataset") {
        return Some(DATA);
    }
    if op.starts_with("QueueDequeue") || op.starts_with("ReaderRead") || op == "Unstage" {
        return Some(QUEUE);
    }
    match op {
        "PyFunc" | "PyFuncStateless" | "EagerPyFunc" => Some(PYTHON),
        "XlaCallModule" => Some(STABLE_HLO),
        "TemporaryVariable" => Some("is assigned to while the graph runs, which is not supported"),
        "Restore" | "RestoreV2" | "RestoreSlice" | "Save" | "SaveSlices" | "SaveV2" => {
            Some("reads or writes a checkpoint while the graph runs, which is not supported")
        }
        "SymbolicGradient" | "RemoteCall" | "TPUPartitionedCall" => Some(CALL),
        "ParseExample" | "ParseExampleV2" | "ParseSingleExample" => Some(EXAMPLE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_with_state_are_known() {
        for op in [
            "AssignVariableOp",
            "AssignAdd",
            "ScatterUpdate",
            "ResourceApplyAdam",
        ] {
            assert!(is_assignment(op), "{op}");
        }
        for op in [
            "ScatterNd",
            "TensorScatterUpdate",
            "ReadVariableOp",
            "Identity",
        ] {
            assert!(!is_assignment(op), "{op}");
        }
        for op in [
            "LookupTableFindV2",
            "PyFunc",
            "EagerPyFunc",
            "IteratorGetNext",
            "TensorSliceDataset",
            "QueueDequeueManyV2",
            "XlaCallModule",
        ] {
            assert!(refusal(op).is_some(), "{op}");
        }
        for op in ["Conv2D", "TensorListReserve", "TensorArrayV3", "GatherV2"] {
            assert!(refusal(op).is_none(), "{op}");
        }
    }
}
