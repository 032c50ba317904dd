//! Tensors with more channels than their own (see [`crate::padding`]).

use tfjet_core::{DType, TensorId};

use super::writer::{Value, Writer};
use crate::OnnxError;
use crate::graph::Padded;
use crate::padding;
use crate::proto::NodeProto;

/// What a padded convolution is to be like.
pub(super) struct Channels {
    /// Size of the kernel's axis 0, and of the bias.
    pub(super) output: usize,
    /// Size of the kernel's axis 1.
    pub(super) input: usize,
    pub(super) groups: usize,
}

impl Writer<'_, '_> {
    /// Does the layer read tensors in their padded form?
    pub(super) fn takes_padded(&self) -> bool {
        padding::keeps_channels(&self.spec.layer)
            || padding::is_dense(self.spec)
            || padding::is_depthwise(self.spec, self.graph.weights)
    }

    /// Before the layer: makes the forms of its inputs that it reads.
    pub(super) fn cut_inputs(&mut self) -> Result<(), OnnxError> {
        if !self.takes_padded() {
            return self.spec.inputs.iter().try_for_each(|&id| self.cut(id));
        }
        let Some(&id) = self.spec.inputs.first() else {
            return Ok(());
        };
        let is_depthwise = padding::is_depthwise(self.spec, self.graph.weights);
        match self.graph.planned.get(&id) {
            Some(&channels) if is_depthwise && !self.graph.padded.contains_key(&id) => {
                self.pad(id, channels)
            }
            _ => Ok(()),
        }
    }

    /// After the layer: network outputs have their own channels.
    pub(super) fn cut_outputs(&mut self) -> Result<(), OnnxError> {
        for &id in &self.spec.outputs {
            if self.graph.spec.outputs.contains(&id) {
                self.cut(id)?;
            }
        }
        Ok(())
    }

    fn cut(&mut self, id: TensorId) -> Result<(), OnnxError> {
        let Some(padded) = self.graph.padded.get_mut(&id).filter(|padded| !padded.cut) else {
            return Ok(());
        };
        padded.cut = true;
        let padded = padded.name.clone();
        let name = self.graph.tensor(id)?.name.clone();
        self.graph.numbers.copies(&padded, &name);
        let channels = padding::channels(self.graph.spec, id).unwrap_or_default();
        let mut input = vec![padded];
        for values in [0, self.int(channels)?, 1] {
            input.push(self.int64s(&[values])?.name);
        }
        self.graph.nodes.push(NodeProto {
            input,
            name: format!("{name}/Slice"),
            output: vec![name],
            op_type: "Slice".into(),
            attribute: Vec::new(),
        });
        Ok(())
    }

    fn pad(&mut self, id: TensorId, channels: usize) -> Result<(), OnnxError> {
        let tensor = self.graph.tensor(id)?;
        let own = padding::channels(self.graph.spec, id).unwrap_or_default();
        let input = Value {
            name: self.graph.numbers.name(id, tensor).to_owned(),
            dtype: tensor.dtype,
        };
        let mut dims = vec![0, own];
        dims.resize(tensor.shape.rank(), 0);
        let padded = self.appended(&input, &dims, &[0, channels])?;
        self.graph.padded.insert(
            id,
            Padded {
                name: padded.name,
                channels,
                cut: true,
            },
        );
        Ok(())
    }

    /// The name under which output `index` is written: its own, or that of its padded form.
    pub(super) fn output_name(&mut self, index: usize) -> Result<String, OnnxError> {
        let tensor = self.tensor(&self.spec.outputs, index)?;
        let (Some(&id), Some(channels)) = (self.spec.outputs.get(index), self.output_channels())
        else {
            return Ok(tensor.name.clone());
        };
        let name = self.graph.fresh_name(&format!("{}/padded", tensor.name));
        let padded = Padded {
            name: name.clone(),
            channels,
            cut: false,
        };
        self.graph.padded.insert(id, padded);
        Ok(name)
    }

    /// The channels of the output, where it is made in its padded form.
    fn output_channels(&self) -> Option<usize> {
        let input = self
            .spec
            .inputs
            .first()
            .and_then(|id| self.graph.padded.get(id));
        let carries = padding::keeps_channels(&self.spec.layer)
            || padding::is_depthwise(self.spec, self.graph.weights);
        if carries {
            return input.map(|padded| padded.channels);
        }
        let appends = padding::is_dense(self.spec)
            || padding::is_fixed_concatenation(self.graph.spec, self.spec);
        let planned = self.graph.planned.get(self.spec.outputs.first()?).copied();
        planned.filter(|_| appends)
    }

    /// What the kernel of shape `kernel` is to be like, where input or output are padded.
    pub(super) fn padded_channels(&self, groups: usize, kernel: &[usize]) -> Option<Channels> {
        let &[output, input, ..] = kernel else {
            return None;
        };
        let from = self
            .spec
            .inputs
            .first()
            .and_then(|id| self.graph.padded.get(id));
        let from = from.map(|padded| padded.channels);
        let to = self.output_channels();
        if !self.takes_padded() || (from.is_none() && to.is_none()) {
            return None;
        }
        let is_dense = padding::is_dense(self.spec);
        Some(Channels {
            output: to.unwrap_or(output),
            input: from.filter(|_| is_dense).unwrap_or(input),
            groups: from.filter(|_| !is_dense).unwrap_or(groups),
        })
    }

    /// `value` of shape `dims`, its first axes filled up with zeros to `sizes`.
    pub(super) fn appended(
        &mut self,
        value: &Value,
        dims: &[usize],
        sizes: &[usize],
    ) -> Result<Value, OnnxError> {
        let mut pads = vec![0; 2 * dims.len()];
        for (pad, (dim, size)) in pads.iter_mut().skip(dims.len()).zip(dims.iter().zip(sizes)) {
            *pad = self.int(size.saturating_sub(*dim))?;
        }
        if pads.iter().all(|&pad| pad == 0) {
            return Ok(value.clone());
        }
        let pads = self.int64s(&pads)?;
        Ok(self.op("Pad", &[value, &pads]))
    }

    /// Zeros that fill the channels of a concatenation up to those that its output is to have.
    pub(super) fn appended_channels(&mut self) -> Result<Option<Value>, OnnxError> {
        let Some(channels) = self.output_channels() else {
            return Ok(None);
        };
        let tensor = self.tensor(&self.spec.outputs, 0)?;
        let mut shape = Vec::with_capacity(tensor.shape.rank());
        for (axis, dim) in tensor.shape.dims().iter().enumerate() {
            let own = self.int(dim.fixed().unwrap_or_default())?;
            shape.push(if axis == 1 {
                self.int(channels)? - own
            } else {
                own
            });
        }
        let shape = self.int64s(&shape)?;
        Ok(Some(self.node(
            "ConstantOfShape",
            &[&shape],
            Vec::new(),
            DType::F32,
        )))
    }
}
