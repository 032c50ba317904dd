use tfjet::bundle::Bundle;
use tfjet::runtime::{EngineSet, Gpu, MemoryAvailable, MemoryNeed, RunsOn};

use super::BackendArgs;

/// `--max-memory`, and the memory that there is.
impl BackendArgs {
    pub(super) fn check_gpu_memory(
        &self,
        bundle: &Bundle,
        gpu: &Gpu,
        engines: &EngineSet,
    ) -> anyhow::Result<MemoryNeed> {
        let integrated = gpu.context().device().integrated;
        let available = MemoryAvailable {
            device: match integrated {
                true => None,
                false => Some(gpu.context().memory()?.0),
            },
            ..MemoryAvailable::of_host()
        };
        let runs_on = RunsOn::Gpu {
            engines,
            integrated,
        };
        self.check_memory(bundle, &runs_on, &available)
    }

    pub(super) fn check_cpu_memory(&self, bundle: &Bundle) -> anyhow::Result<MemoryNeed> {
        self.check_memory(bundle, &RunsOn::Cpu, &MemoryAvailable::of_host())
    }

    /// What the model takes, where that is allowed and there.
    fn check_memory(
        &self,
        bundle: &Bundle,
        runs_on: &RunsOn<'_>,
        available: &MemoryAvailable,
    ) -> anyhow::Result<MemoryNeed> {
        let need = MemoryNeed::of(bundle, runs_on, None)?;
        tracing::info!("the model takes {need}");
        let limit = self.max_memory.map(|mib| u64::from(mib) << 20);
        need.check(limit, available)?;
        Ok(need)
    }
}
