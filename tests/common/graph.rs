use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A GraphDef in text format.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph(String);

impl Graph {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A node; attributes are names with the text of their value, as `("T", "type: DT_FLOAT")`.
    pub(crate) fn node(
        mut self,
        name: &str,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, &str)],
    ) -> Self {
        let _ = write!(self.0, "node {{\n  name: \"{name}\"\n  op: \"{op}\"\n");
        for input in inputs {
            let _ = writeln!(self.0, "  input: \"{input}\"");
        }
        for (key, value) in attributes {
            let _ = writeln!(self.0, "  attr {{ key: \"{key}\" value {{ {value} }} }}");
        }
        self.0.push_str("}\n");
        self
    }

    /// An input; -1 is an unknown size.
    pub(crate) fn placeholder(self, name: &str, dtype: &str, shape: &[i64]) -> Self {
        let dtype = format!("type: {dtype}");
        let shape = format!("shape {{ {} }}", dims(shape));
        self.node(
            name,
            "Placeholder",
            &[],
            &[("dtype", &dtype), ("shape", &shape)],
        )
    }

    /// A constant, `values` as in `float_val: 1 float_val: 2`.
    pub(crate) fn constant(self, name: &str, dtype: &str, shape: &[i64], values: &str) -> Self {
        let tensor = format!(
            "tensor {{ dtype: {dtype} tensor_shape {{ {} }} {values} }}",
            dims(shape)
        );
        let dtype = format!("type: {dtype}");
        self.node(name, "Const", &[], &[("dtype", &dtype), ("value", &tensor)])
    }

    /// A constant of floats.
    pub(crate) fn floats(self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        let values: Vec<String> = values.iter().map(|v| format!("float_val: {v}")).collect();
        self.constant(name, "DT_FLOAT", shape, &values.join(" "))
    }

    /// A node with the attribute `T`.
    pub(crate) fn op(self, name: &str, op: &str, inputs: &[&str], dtype: &str) -> Self {
        let dtype = format!("type: {dtype}");
        self.node(name, op, inputs, &[("T", &dtype)])
    }

    /// A node on floats.
    pub(crate) fn float_op(self, name: &str, op: &str, inputs: &[&str]) -> Self {
        self.op(name, op, inputs, "DT_FLOAT")
    }

    /// `y = relu(x + [1, 2, 3]) * [1, 2, 3]` on rows of three, any number of them.
    pub(crate) fn rows_of_three() -> Self {
        Self::new()
            .placeholder("x", "DT_FLOAT", &[-1, 3])
            .floats("c", &[3], &[1.0, 2.0, 3.0])
            .float_op("a", "AddV2", &["x", "c"])
            .float_op("r", "Relu", &["a"])
            .float_op("m", "Mul", &["r", "c"])
            .float_op("y", "Identity", &["m"])
    }

    /// A loop that counts `x` up to ten, as TensorFlow 1 writes it.
    pub(crate) fn counting_loop() -> Self {
        let frame = [
            ("T", "type: DT_FLOAT"),
            ("frame_name", "s: \"loop\""),
            ("is_constant", "b: false"),
            ("parallel_iterations", "i: 10"),
        ];
        Self::new()
            .placeholder("x", "DT_FLOAT", &[])
            .floats("ten", &[], &[10.0])
            .floats("one", &[], &[1.0])
            .node("enter", "Enter", &["x"], &frame)
            .node(
                "merge",
                "Merge",
                &["enter", "next"],
                &[("N", "i: 2"), ("T", "type: DT_FLOAT")],
            )
            .float_op("less", "Less", &["merge", "ten"])
            .node("cond", "LoopCond", &["less"], &[])
            .float_op("switch", "Switch", &["merge", "cond"])
            .float_op("add", "AddV2", &["switch:1", "one"])
            .float_op("next", "NextIteration", &["add"])
            .float_op("exit", "Exit", &["switch"])
    }

    /// Writes it as `NAME`.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, format!("{}versions {{ producer: 27 }}\n", self.0))
            .expect("the graph is written");
        path
    }
}

fn dims(shape: &[i64]) -> String {
    shape
        .iter()
        .map(|dim| format!("dim {{ size: {dim} }} "))
        .collect()
}
