use std::collections::BTreeMap;

use tfjet_core::{NetworkSpec, NetworkTensor, Precision};

use super::{Table, TableEntry};

/// A table by the names of networks' tensors.
pub(super) struct Known<'a> {
    table: Option<&'a Table>,
    /// By the tensor's name without segment.
    by_tensor: BTreeMap<&'a str, Vec<&'a TableEntry>>,
}

/// What a table says of one tensor: an entry, or those of its name in other segments.
pub(super) struct Seen<'a>(pub(super) Vec<&'a TableEntry>);

impl<'a> Known<'a> {
    pub(super) fn new(table: Option<&'a Table>) -> Self {
        let mut by_tensor: BTreeMap<&str, Vec<&TableEntry>> = BTreeMap::new();
        // TensorRT's caches say nothing of the model, and their names have no segments.
        let ours = table.filter(|table| !table.model.is_empty());
        for (name, entry) in ours.iter().flat_map(|table| &table.tensors) {
            if let Some((_, tensor)) = name.split_once('/') {
                by_tensor.entry(tensor).or_default().push(entry);
            }
        }
        Self { table, by_tensor }
    }

    pub(super) fn seen(&self, network: &NetworkSpec, tensor: &NetworkTensor) -> Option<Seen<'a>> {
        let tensors = &self.table?.tensors;
        let exact = tensors.get(&format!("{}/{}", network.name, tensor.name));
        if let Some(entry) = exact.or_else(|| tensors.get(&tensor.name)) {
            return Some(Seen(vec![entry]));
        }
        Some(Seen(self.by_tensor.get(tensor.name.as_str())?.clone()))
    }
}

/// The largest number of 16 bits.
const FP16_MAX: f32 = 65504.0;

impl Seen<'_> {
    pub(super) fn range(&self) -> Option<f32> {
        let ranges = self.0.iter().filter_map(|entry| entry.range);
        ranges.reduce(f32::max)
    }

    /// What is odd about the values for the numbers that hold them.
    pub(super) fn warnings(
        &self,
        segment: &str,
        tensor: &str,
        numbers: Option<Precision>,
    ) -> Vec<String> {
        let mut warnings = Vec::new();
        for entry in &self.0 {
            if entry.not_finite > 0 {
                warnings.push(format!(
                    "{segment}, tensor `{tensor}`: {} of {} values were infinite or no number and \
                     are left out of its range",
                    entry.not_finite,
                    entry.count.saturating_add(entry.not_finite)
                ));
            }
            if let Some(range) = entry.range
                && numbers == Some(Precision::Int8)
                && entry.min == entry.max
                && entry.count > 0
            {
                warnings.push(format!(
                    "{segment}, tensor `{tensor}`: all values were {}; its range is {range}",
                    entry.min
                ));
            }
            let largest = entry.min.abs().max(entry.max.abs());
            if largest > FP16_MAX && numbers == Some(Precision::Fp16) {
                warnings.push(format!(
                    "{segment}, tensor `{tensor}`: values up to {largest:e} are infinite in FP16; \
                     keep the layer that makes it in FP32"
                ));
            }
        }
        warnings
    }
}
