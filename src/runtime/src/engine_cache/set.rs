use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tfjet_bundle::{Bundle, BundleError, EngineHeader, SectionId, SectionKind};

use super::{
    EngineCache, EngineCacheError, EngineEntry, EngineKey, EngineSetError, MachineKey, NetworkHash,
    NotPrepared, bundle_precision,
};

/// Precisions that engines are built in.
const PRECISIONS: [&str; 3] = ["fp32", "fp16", "int8"];

/// Where engines come from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EngineOrigin {
    /// All lie in the bundle.
    Bundle,
    /// All lie in the cache in this folder.
    Cache(PathBuf),
    /// Some lie in the bundle, the others in the cache in this folder.
    Both(PathBuf),
    /// There are no segments.
    Nowhere,
}

impl fmt::Display for EngineOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle => f.write_str("the bundle"),
            Self::Cache(dir) => write!(f, "the cache {}", dir.display()),
            Self::Both(dir) => write!(f, "the bundle and the cache {}", dir.display()),
            Self::Nowhere => f.write_str("nowhere"),
        }
    }
}

/// An engine for every segment of a bundle: all for the same machine and precision, intact, and
/// built from the bundle's own networks.
#[derive(Debug, Clone)]
pub struct EngineSet {
    bundle: Arc<Bundle>,
    precision: String,
    engines: Vec<Located>,
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Located {
    Bundle(EngineHeader),
    Cache(EngineEntry),
}

/// Where the engine of a segment is expected, before its bytes are looked at.
enum Place {
    Bundle,
    Cache(EngineKey),
}

/// A target and where its engines are expected.
struct Candidate {
    target: String,
    precision: String,
    places: Vec<Place>,
}

impl EngineSet {
    /// Finds engines for all segments of `bundle` that run on `machine`: for each segment the one
    /// in the bundle, else the one that was last prepared in `cache`. Without a precision it is
    /// [`bundle_precision`] where that is prepared, else the only one that is.
    ///
    /// # Errors
    /// [`EngineSetError`] where a segment has no engine, an engine is damaged or was built from
    /// another network, or the precision must be chosen.
    pub fn locate(
        bundle: &Arc<Bundle>,
        machine: &MachineKey,
        precision: Option<&str>,
        cache: Option<&EngineCache>,
    ) -> Result<Self, EngineSetError> {
        let networks = network_hashes(bundle)?;
        let search = Search {
            bundle,
            machine,
            cache,
            networks: &networks,
        };
        let wanted = precision.map_or(PRECISIONS.to_vec(), |precision| vec![precision]);
        let mut complete = Vec::new();
        let mut missing: Option<Vec<u32>> = None;
        for precision in wanted {
            match search.candidate(precision)? {
                Ok(candidate) => complete.push(candidate),
                Err(lacks) if missing.as_ref().is_none_or(|it| lacks.len() < it.len()) => {
                    missing = Some(lacks);
                }
                Err(_) => {}
            }
        }
        if networks.is_empty() {
            complete.truncate(1);
        }
        if complete.len() > 1
            && let Some(own) = bundle_precision(bundle)?
            && complete.iter().any(|it| it.precision == own.name())
        {
            complete.retain(|it| it.precision == own.name());
        }
        if complete.len() > 1 {
            return Err(EngineSetError::Precisions {
                bundle: name(bundle),
                precisions: complete.into_iter().map(|it| it.precision).collect(),
            });
        }
        match complete.pop() {
            Some(candidate) => search.load(candidate),
            None => Err(search.absent(precision, missing.unwrap_or_default())?),
        }
    }

    /// The engine of a segment.
    pub fn engine(&self, segment: u32) -> Option<(&EngineHeader, &[u8])> {
        match self.engines.get(usize::try_from(segment).ok()?)? {
            Located::Bundle(header) => {
                let (_, bytes) = self.bundle.engine(&header.target(), segment).ok()?;
                Some((header, bytes))
            }
            Located::Cache(entry) => Some((entry.header(), entry.bytes())),
        }
    }

    /// What the engines were built from, by and for, in the order of segments.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = &EngineHeader> {
        self.engines.iter().map(|engine| match engine {
            Located::Bundle(header) => header,
            Located::Cache(entry) => entry.header(),
        })
    }

    /// `fp32`, `fp16` or `int8`.
    pub fn precision(&self) -> &str {
        &self.precision
    }

    /// Where the engines come from.
    pub fn origin(&self) -> EngineOrigin {
        let cached = |engine: &Located| matches!(engine, Located::Cache(_));
        let dir = || self.dir.clone().unwrap_or_default();
        match self.engines.iter().filter(|it| cached(it)).count() {
            _ if self.engines.is_empty() => EngineOrigin::Nowhere,
            0 => EngineOrigin::Bundle,
            count if count == self.engines.len() => EngineOrigin::Cache(dir()),
            _ => EngineOrigin::Both(dir()),
        }
    }
}

/// The hashes of all segments of a bundle, as [`EngineCache::prepared`] takes them.
pub(super) fn network_hashes(bundle: &Bundle) -> Result<Vec<NetworkHash>, BundleError> {
    (0..)
        .take(bundle.segment_count())
        .map(|segment| NetworkHash::of(bundle, segment))
        .collect()
}

struct Search<'a> {
    bundle: &'a Arc<Bundle>,
    machine: &'a MachineKey,
    cache: Option<&'a EngineCache>,
    networks: &'a [NetworkHash],
}

impl Search<'_> {
    fn segments(&self) -> impl Iterator<Item = u32> {
        (0..).take(self.networks.len())
    }

    /// Where all engines of a precision are, or which are missing.
    fn candidate(&self, precision: &str) -> Result<Result<Candidate, Vec<u32>>, EngineCacheError> {
        let mut fewest: Option<Vec<u32>> = None;
        for target in self.machine.targets(precision) {
            let prepared = match self.cache {
                Some(cache) => cache.prepared(self.networks, &target)?,
                None => None,
            };
            let (mut places, mut missing) = (Vec::new(), Vec::new());
            for segment in self.segments() {
                let id = SectionId::new(SectionKind::Engine, &target, segment);
                let key = prepared
                    .as_ref()
                    .and_then(|keys| keys.get(segment as usize));
                let key = key.filter(|key| self.cache.is_some_and(|it| it.path(key).exists()));
                match key {
                    _ if self.bundle.engine_ids().any(|it| *it == id) => {
                        places.push(Place::Bundle);
                    }
                    Some(key) => places.push(Place::Cache(*key)),
                    None => missing.push(segment),
                }
            }
            if missing.is_empty() {
                return Ok(Ok(Candidate {
                    target,
                    precision: precision.into(),
                    places,
                }));
            }
            if fewest.as_ref().is_none_or(|it| missing.len() < it.len()) {
                fewest = Some(missing);
            }
        }
        Ok(Err(fewest.unwrap_or_default()))
    }

    /// Reads the headers, checks hashes and keys.
    fn load(&self, candidate: Candidate) -> Result<EngineSet, EngineSetError> {
        let mut engines = Vec::with_capacity(candidate.places.len());
        for ((segment, place), network) in (0..).zip(candidate.places).zip(self.networks) {
            let located = match (place, self.cache) {
                (Place::Cache(key), Some(cache)) => match cache.get(&key)? {
                    Some(entry) => Located::Cache(entry),
                    None => return Err(self.absent(Some(&candidate.precision), vec![segment])?),
                },
                _ => Located::Bundle(self.bundle.engine(&candidate.target, segment)?.0),
            };
            let header = match &located {
                Located::Bundle(header) => header,
                Located::Cache(entry) => entry.header(),
            };
            let (expected, found) = (EngineKey::of(network, header), EngineKey(header.key));
            if expected != found {
                return Err(EngineSetError::Key {
                    bundle: match &located {
                        Located::Bundle(_) => name(self.bundle),
                        Located::Cache(entry) => entry.path().display().to_string(),
                    },
                    target: header.target(),
                    segment,
                    expected,
                    found,
                });
            }
            engines.push(located);
        }
        Ok(EngineSet {
            bundle: self.bundle.clone(),
            precision: candidate.precision,
            engines,
            dir: self.cache.map(|cache| cache.dir().to_path_buf()),
        })
    }

    /// The error for engines that are not there.
    fn absent(
        &self,
        precision: Option<&str>,
        segments: Vec<u32>,
    ) -> Result<EngineSetError, EngineSetError> {
        let (bundle, expected) = (name(self.bundle), self.machine.to_string());
        let targets: BTreeMap<&str, u32> = self
            .bundle
            .engine_ids()
            .map(|id| (id.target.as_str(), id.index))
            .collect();
        let (mut found, mut some_here, mut same_library) = (Vec::new(), false, false);
        for (target, segment) in targets {
            let (header, _) = self.bundle.engine(target, segment)?;
            if self
                .machine
                .takes(&header.library, header.compute_capability)
            {
                some_here = true;
            } else {
                same_library |= header.library == self.machine.library;
                found.push(match header.gpu.as_str() {
                    "" => target.to_owned(),
                    gpu => format!("{target} on {gpu}"),
                });
            }
        }
        let mut ready = Vec::new();
        for other in PRECISIONS
            .iter()
            .filter(|it| precision.is_some_and(|wanted| wanted != **it))
        {
            if self.candidate(other)?.is_ok() {
                ready.push((*other).to_owned());
            }
        }
        let elsewhere = !found.is_empty() && !some_here && ready.is_empty();
        Ok(match (!elsewhere, same_library) {
            (true, _) => EngineSetError::from(Box::new(NotPrepared {
                bundle,
                machine: expected,
                precision: precision.map(str::to_owned),
                segments,
                total: self.networks.len(),
                ready,
            })),
            (false, true) => EngineSetError::WrongGpu {
                bundle,
                expected,
                found,
            },
            (false, false) => EngineSetError::WrongVersion {
                bundle,
                expected,
                found,
            },
        })
    }
}

fn name(bundle: &Bundle) -> String {
    let path = bundle.path().map(Path::display);
    path.map_or_else(|| "the bundle in memory".into(), |path| path.to_string())
}
