//! Sessions on TensorRT for shapes that come at run time: engines are taken from the cache or built
//! in the background.

mod known;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tfjet::bundle::{Bundle, EngineHeader};
use tfjet::core::{Manifest, NetworkSpec, Schedule};
use tfjet::runtime::{
    BuildFailure, EngineEntry, EngineError, EngineSet, EngineSource, Gpu, PendingBuild, Session,
    SessionError, SessionMaker, SessionOptions, ShapeKey, profile_for,
};
use tfjet::shapes::{Interface, Profile};

use crate::build::{BackgroundBuild, BuildFlags, EngineBuilder, Wanted};
use known::KnownShapes;

/// Makes sessions of serialized engines.
pub(crate) trait LoadEngines: Send {
    /// A session on these engines.
    fn load(&self, engines: &dyn EngineSource) -> Result<Session, SessionError>;
}

/// Sessions on a GPU.
pub(crate) struct OnGpu {
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) gpu: Gpu,
    pub(crate) options: SessionOptions,
}

impl LoadEngines for OnGpu {
    fn load(&self, engines: &dyn EngineSource) -> Result<Session, SessionError> {
        Session::load_gpu(self.bundle.clone(), &self.gpu, engines, &self.options)
    }
}

/// Makes sessions for the shapes of requests, each with batches from 1 to the request's.
pub(crate) struct DynamicMaker {
    manifest: Manifest,
    schedule: Schedule,
    networks: Vec<NetworkSpec>,
    builder: Arc<EngineBuilder>,
    loader: Box<dyn LoadEngines>,
    /// What `prepare` built.
    prepared: Option<EngineSet>,
    known: KnownShapes,
    retry_failed_after: Duration,
    /// Was the latest build ended by somebody?
    interrupted: Arc<AtomicBool>,
}

impl DynamicMaker {
    /// A maker for `bundle`, whose networks are `networks`. `prepared` are the engines that were
    /// prepared beforehand, if there are any. Builds that failed in an earlier process are told of
    /// for `retry_failed_after`.
    pub(crate) fn new(
        bundle: &Bundle,
        networks: Vec<NetworkSpec>,
        builder: Arc<EngineBuilder>,
        loader: Box<dyn LoadEngines>,
        prepared: Option<EngineSet>,
        retry_failed_after: Duration,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            manifest: bundle.manifest()?,
            schedule: bundle.schedule()?,
            known: KnownShapes::of(&builder),
            networks,
            builder,
            loader,
            prepared,
            retry_failed_after,
            interrupted: Arc::default(),
        })
    }

    fn interface(&self) -> Interface<'_> {
        Interface::new(&self.manifest, &self.schedule, &self.networks)
    }

    /// The engines of all segments for a request, or why there can be none.
    fn wanted(&self, shapes: &ShapeKey) -> Result<Vec<Wanted>, String> {
        let profiles = self.interface().profiles_for_request(&shapes.0);
        let segments = profiles.map_err(|error| error.0)?.segments;
        let profiles = segments.into_iter().map(|profile| vec![profile]);
        Ok(self.builder.wanted(profiles.collect()))
    }

    /// The engines of all segments in the cache; `None` where one is missing.
    fn entries(&self, wanted: &[Wanted]) -> Option<Entries> {
        let mut entries = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            match self.builder.find(wanted) {
                Ok(found) => entries.push(found?),
                Err(error) => {
                    tracing::warn!("{}", tfjet::exit::one_line(&error));
                    return None;
                }
            }
        }
        Some(Entries(entries))
    }
}

impl SessionMaker for DynamicMaker {
    fn load(&mut self, shapes: &ShapeKey) -> Result<Option<Session>, SessionError> {
        let wanted = self.wanted(shapes).ok();
        let Some(entries) = wanted.and_then(|wanted| self.entries(&wanted)) else {
            self.known.remove(shapes);
            return Ok(None);
        };
        let session = self.loader.load(&entries)?;
        self.known.add(&self.builder, shapes);
        Ok(Some(session))
    }

    fn build(&mut self, shapes: &ShapeKey) -> Result<Box<dyn PendingBuild>, String> {
        let wanted = self.wanted(shapes)?;
        let (builder, interrupted) = (Arc::clone(&self.builder), Arc::clone(&self.interrupted));
        let build = BackgroundBuild::start(builder, wanted, interrupted);
        let build = build.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Box::new(build))
    }

    fn built(&mut self) -> Vec<ShapeKey> {
        self.known.list().to_vec()
    }

    fn covers(&self, shapes: &ShapeKey) -> bool {
        let Some(prepared) = &self.prepared else {
            return false;
        };
        let profiles = self.interface().profiles_for_exactly(&shapes.0);
        profiles.is_ok_and(|profiles| {
            let mut segments = prepared.headers().zip(&profiles.segments);
            segments.all(|(header, inputs)| takes(header, inputs))
        })
    }

    fn covering(&mut self, shapes: &ShapeKey) -> Result<Option<Session>, SessionError> {
        match &self.prepared {
            Some(prepared) if self.covers(shapes) => self.loader.load(prepared).map(Some),
            _ => Ok(None),
        }
    }

    fn failure(&self, shapes: &ShapeKey) -> Option<BuildFailure> {
        let (cache, retry_after) = (self.builder.cache(), self.retry_failed_after);
        let mut wanted = self.wanted(shapes).ok()?.into_iter();
        wanted.find_map(|wanted| cache.failure(&wanted.key(), retry_after))
    }

    fn remember_failure(&mut self, shapes: &ShapeKey, failure: &BuildFailure) {
        if self.interrupted.load(Ordering::Relaxed) {
            return;
        }
        let wanted = self.wanted(shapes).unwrap_or_default();
        // Segments are built in order, so the first one that is not there is the one that failed.
        let is_missing = |wanted: &&Wanted| !matches!(self.builder.find(wanted), Ok(Some(_)));
        let Some(failed) = wanted.iter().find(is_missing) else {
            return;
        };
        if let Err(error) = self.builder.cache().set_failure(&failed.key(), failure) {
            tracing::warn!("the failed build is not remembered: {error}");
        }
    }
}

/// Does an engine take inputs of these shapes?
fn takes(header: &EngineHeader, inputs: &Profile) -> bool {
    let shapes: Vec<Vec<usize>> = inputs
        .iter()
        .map(|[_, opt, _]| {
            let sizes = opt.iter().map(|&size| usize::try_from(size));
            sizes.map(|size| size.unwrap_or(usize::MAX)).collect()
        })
        .collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    profile_for(&header.profiles, &shapes).is_some()
}

/// Engines of the cache in the order of their segments.
struct Entries(Vec<EngineEntry>);

impl Entries {
    fn get(&self, segment: u32) -> Option<&EngineEntry> {
        self.0.get(usize::try_from(segment).ok()?)
    }
}

impl EngineSource for Entries {
    fn engine(&self, segment: u32) -> Result<Cow<'_, [u8]>, EngineError> {
        match self.get(segment) {
            Some(entry) => Ok(Cow::Borrowed(entry.bytes())),
            None => Err(EngineError::Other(
                format!("there is no engine of segment {segment}").into(),
            )),
        }
    }

    fn dla_core(&self, segment: u32) -> Option<u32> {
        BuildFlags::from_text(&self.get(segment)?.header().flags)?.dla_core
    }
}

#[cfg(test)]
mod tests;
