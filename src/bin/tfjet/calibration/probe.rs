//! Tensors inside the segments, as sessions see them.

use std::collections::BTreeSet;
use std::sync::Arc;

use tfjet::bundle::Bundle;
use tfjet::convert::probe::{Probed, ProbedTensor, probe, with_quantization};
use tfjet::core::{NetworkSpec, Quantization, TensorId};
use tfjet::runtime::Session;

use super::{Cpu, in_memory};

/// A bundle that gives tensors from inside its segments behind its own outputs, in whatever numbers.
pub(crate) struct Probe {
    bundle: Arc<Bundle>,
    pub(crate) tensors: Vec<ProbedTensor>,
    /// The output that the first of the tensors is.
    pub(crate) first: usize,
    /// Names of the segments whose tensors cannot be seen.
    pub(crate) unseen: Vec<String>,
}

impl Probe {
    /// Gives the `wanted` tensors of each network that are floats and no constants.
    pub(crate) fn new(
        bundle: &Bundle,
        wanted: &dyn Fn(&NetworkSpec) -> BTreeSet<TensorId>,
    ) -> anyhow::Result<Self> {
        let Probed {
            writer,
            tensors,
            unseen,
        } = probe(bundle, wanted)?;
        Ok(Self {
            first: bundle.manifest()?.outputs.len(),
            bundle: in_memory(&writer)?,
            tensors,
            unseen,
        })
    }

    /// A session that computes as the bundle says.
    pub(crate) fn session(&self, cpu: &Cpu) -> anyhow::Result<Session> {
        cpu.exact(self.bundle.clone())
    }

    /// A session that computes in other numbers; `round_fp16` as in [`with_quantization`].
    pub(crate) fn session_in(
        &self,
        cpu: &Cpu,
        quantizations: &[Option<Quantization>],
        round_fp16: bool,
    ) -> anyhow::Result<Session> {
        let writer = with_quantization(&self.bundle, quantizations, round_fp16)?;
        cpu.exact(in_memory(&writer)?)
    }
}
