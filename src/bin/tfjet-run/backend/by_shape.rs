//! Sessions by shapes on a GPU, with engines of the cache and those that are built.

use std::sync::Arc;

use anyhow::Context as _;
use tfjet::bundle::Bundle;
use tfjet::cache;
use tfjet::cpu::Library;
use tfjet::engines::default_precision;
use tfjet::runtime::{
    EngineCache, EngineSet, Gpu, OnMiss, Session, SessionCache, SessionCacheOptions, SessionOptions,
};
use tfjet::tensorrt::Precision;

use super::{BackendArgs, BackendSummary, Opened, onnxruntime};
use crate::build::{BuildFlags, BuilderOptions, BuiltBy, EngineBuilder};
use crate::dynamic::{DynamicMaker, OnGpu};
use crate::tensorrt;

impl BackendArgs {
    /// Sessions by shapes; `prepared` are the engines that `prepare` built.
    pub(super) fn by_shape(
        &self,
        bundle: Arc<Bundle>,
        gpu: &Gpu,
        prepared: Option<EngineSet>,
        on_miss: OnMiss,
        (options, backend): (&SessionOptions, BackendSummary),
    ) -> anyhow::Result<Opened> {
        let memory = match &prepared {
            Some(prepared) => Some(self.check_gpu_memory(&bundle, gpu, prepared)?),
            None => None,
        };
        let dir = self.engines().cache_dir();
        let dir = dir.context("no home folder for a cache: name one with --cache")?;
        let cache = match on_miss {
            OnMiss::NeverBuild => EngineCache::at(&dir),
            OnMiss::Block | OnMiss::Fallback => EngineCache::open(&dir)?,
        };
        let (precision, flags) = self.as_prepared(&bundle, gpu, prepared.as_ref())?;
        let networks = (0..u32::try_from(bundle.segment_count())?)
            .map(|segment| bundle.network(segment))
            .collect::<Result<Vec<_>, _>>()?;
        let builder = BuilderOptions {
            precision,
            flags,
            device: self.gpu,
            cache,
            executable: None,
        };
        let library = gpu.library();
        let machine = tensorrt::machine(library, Some(gpu.context().device()));
        let library = BuiltBy::new(library, machine);
        let builder = EngineBuilder::new(bundle.clone(), &networks, library, builder)?;
        let fallback = match on_miss {
            OnMiss::Block => None,
            OnMiss::Fallback | OnMiss::NeverBuild => self.cpu_fallback(&bundle, options)?,
        };
        let (fallback, name) = fallback.unzip();
        let cache_options = SessionCacheOptions {
            on_miss,
            capacity: self.dynamic.capacity.map_or(4, usize::from),
            ..SessionCacheOptions::default()
        };
        let backend = BackendSummary {
            precision: precision.name().into(),
            engines: Some(match &prepared {
                Some(prepared) => format!("{}, others by shapes", prepared.origin()),
                None => format!("the cache {}, by shapes", dir.display()),
            }),
            dynamic: Some(self.dynamic.mode),
            fallback: name,
            memory,
            ..backend
        };
        let loader = OnGpu {
            bundle: bundle.clone(),
            gpu: gpu.clone(),
            options: options.clone(),
        };
        let maker = DynamicMaker::new(
            &bundle,
            networks,
            Arc::new(builder),
            Box::new(loader),
            prepared,
            cache_options.retry_failed_after,
        )?;
        let manifest = bundle.manifest()?;
        let sessions = SessionCache::new(manifest, Box::new(maker), fallback, cache_options);
        Ok(Opened {
            model: sessions.into(),
            backend,
        })
    }

    /// Precision and flags of engines that are built: those of the command line, else those of the
    /// prepared engines, else what suits the bundle.
    fn as_prepared(
        &self,
        bundle: &Bundle,
        gpu: &Gpu,
        prepared: Option<&EngineSet>,
    ) -> anyhow::Result<(Precision, BuildFlags)> {
        let precision = match (self.precision, prepared) {
            (Some(precision), _) => precision,
            (None, Some(prepared)) => prepared.precision().parse()?,
            (None, None) => {
                let capability = gpu.context().device().compute_capability;
                default_precision(bundle, Some(capability))?
            }
        };
        let given = &self.dynamic.build;
        let first = prepared.and_then(|prepared| prepared.headers().next());
        let flags = match first {
            Some(header) if *given == BuildFlags::default() => BuildFlags::from_text(&header.flags),
            _ => None,
        };
        Ok((precision, flags.unwrap_or_else(|| given.clone())))
    }

    /// A session on the CPU, and its name; `None` where ONNX Runtime is not there.
    fn cpu_fallback(
        &self,
        bundle: &Arc<Bundle>,
        options: &SessionOptions,
    ) -> anyhow::Result<Option<(Session, String)>> {
        let library = match Library::load(self.onnxruntime.as_deref(), &cache::library_dirs()) {
            Ok(library) => library,
            Err(error) if error.is_missing() && self.onnxruntime.is_none() => {
                tracing::warn!("nothing serves shapes without an engine: {error}");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.check_cpu_memory(bundle)?;
        let session = Session::load(bundle.clone(), Some(&library), options)?;
        Ok(Some((session, onnxruntime(&library))))
    }
}
