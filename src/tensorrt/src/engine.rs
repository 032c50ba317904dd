use std::ffi::CString;
use std::sync::{Arc, Mutex, PoisonError};

use tfjet_core::DType;

use crate::profile::Selector;
use crate::sys::{Family, Owned};
use crate::{DataType, ExecutionContext, TensorRtError, Version, runtime};

/// `TensorLocation::kHOST`.
const HOST: i32 = 1;
/// `TensorFormat::kLINEAR`.
const LINEAR: i32 = 0;
/// `TensorIOMode::kINPUT`.
const INPUT: i32 = 1;
/// `LayerInformationFormat::kJSON`.
const JSON: i32 = 1;

/// A network built for one GPU, ready to run (`ICudaEngine`). It keeps its runtime.
///
/// `Send` and `Sync`; copies are the same engine. What runs is an [`ExecutionContext`].
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) object: Owned,
    io: Vec<IoTensor>,
    profiles: usize,
    /// Held while something is made from the engine.
    lock: Mutex<()>,
    _runtime: Arc<runtime::Shared>,
}

// SAFETY: TensorRT lets threads share an engine that is not refitted; what makes objects from it is
// behind `lock`.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// An input or output of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoTensor {
    /// Its name in the engine.
    pub name: String,
    /// What the engine reads or writes.
    pub dtype: DataType,
    /// Sizes of all dimensions, -1 where they are known at run time only.
    pub dims: Vec<i64>,
    /// Input or output?
    pub is_input: bool,
    pub(crate) c_name: CString,
    /// Bytes of an element.
    pub(crate) element: usize,
    /// Index among a profile's bindings; TensorRT 8 alone has bindings.
    pub(crate) binding: Option<i32>,
}

/// What the library says about one tensor.
struct Facts {
    name: CString,
    dtype: i32,
    location: i32,
    format: i32,
    dims: Option<Vec<i64>>,
    is_input: bool,
    binding: Option<i32>,
}

impl Engine {
    pub(crate) fn new(object: Owned, runtime: Arc<runtime::Shared>) -> Result<Self, TensorRtError> {
        // SAFETY: the engine is alive and not shared yet.
        let profiles: i32 =
            unsafe { object.call(|s| &s.cuda_engine.get_nb_optimization_profiles, ()) }?;
        let profiles = usize::try_from(profiles).unwrap_or(0).max(1);
        let named = object.api().has(|s| &s.cuda_engine.get_nb_io_tensors);
        let facts = if named {
            named_tensors(&object)
        } else {
            bindings(&object, profiles)
        }?;
        let io = facts
            .into_iter()
            .map(|facts| tensor(&object, facts))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shared: Arc::new(Shared {
                object,
                io,
                profiles,
                lock: Mutex::new(()),
                _runtime: runtime,
            }),
        })
    }

    /// The library's version.
    pub fn version(&self) -> Version {
        self.shared.object.api().version
    }

    /// The name that the network had.
    pub fn name(&self) -> Result<String, TensorRtError> {
        // SAFETY: the engine is alive.
        let name: Option<CString> =
            unsafe { self.shared.object.call(|s| &s.cuda_engine.get_name, ()) }?;
        Ok(name.map_or_else(String::new, |name| name.to_string_lossy().into_owned()))
    }

    /// Inputs and outputs, in the engine's order.
    pub fn io(&self) -> &[IoTensor] {
        &self.shared.io
    }

    /// Index in [`Engine::io`].
    pub fn position(&self, name: &str) -> Option<usize> {
        self.io().iter().position(|tensor| tensor.name == name)
    }

    /// How many profiles it was built for, one at least.
    pub fn profile_count(&self) -> usize {
        self.shared.profiles
    }

    /// Smallest, best and largest shape of an input in a profile.
    ///
    /// # Errors
    ///
    /// [`TensorRtError::EngineTensor`] for a tensor that is no input of the engine,
    /// [`TensorRtError::Index`] for a profile that it lacks.
    pub fn profile_dims(&self, name: &str, profile: usize) -> Result<[Vec<i64>; 3], TensorRtError> {
        let unknown = |reason: &str| TensorRtError::EngineTensor {
            tensor: name.to_owned(),
            reason: reason.to_owned(),
        };
        let tensor = self.io().iter().find(|t| t.is_input && t.name == name);
        let tensor = tensor.ok_or_else(|| unknown("the engine has no such input"))?;
        let index = self.profile_index(profile)?;
        let object = &self.shared.object;
        let named = object.api().has(|s| &s.cuda_engine.get_profile_shape);
        let dims = |selector: Selector| -> Result<Vec<i64>, TensorRtError> {
            let selector = selector as i32;
            let dims: Option<Vec<i64>> = if named {
                // SAFETY: the engine is alive, the name a C string.
                unsafe {
                    object.call(
                        |s| &s.cuda_engine.get_profile_shape,
                        (&tensor.c_name, index, selector),
                    )
                }?
            } else {
                let binding = tensor.binding.unwrap_or(-1);
                // SAFETY: the engine is alive.
                unsafe {
                    object.call(
                        |s| &s.cuda_engine.get_profile_dimensions,
                        (binding, index, selector),
                    )
                }?
            };
            dims.ok_or_else(|| unknown("the profile does not have it"))
        };
        Ok([
            dims(Selector::Min)?,
            dims(Selector::Opt)?,
            dims(Selector::Max)?,
        ])
    }

    /// Device memory that one context takes beside inputs, outputs and weights.
    pub fn device_memory_bytes(&self) -> Result<u64, TensorRtError> {
        let object = &self.shared.object;
        if object
            .api()
            .has(|s| &s.cuda_engine.get_device_memory_size_v2)
        {
            // SAFETY: the engine is alive.
            let bytes: i64 =
                unsafe { object.call(|s| &s.cuda_engine.get_device_memory_size_v2, ()) }?;
            return Ok(u64::try_from(bytes).unwrap_or(0));
        }
        // SAFETY: as above.
        let bytes: usize = unsafe { object.call(|s| &s.cuda_engine.get_device_memory_size, ()) }?;
        Ok(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// Layers after TensorRT joined and split the network's.
    pub fn layer_count(&self) -> Result<usize, TensorRtError> {
        // SAFETY: the engine is alive.
        let layers: i32 = unsafe {
            self.shared
                .object
                .call(|s| &s.cuda_engine.get_nb_layers, ())
        }?;
        Ok(usize::try_from(layers).unwrap_or(0))
    }

    /// What the engine inspector (`IEngineInspector`) tells about all layers, as JSON: much where
    /// the engine was built with detailed profiling, else names.
    pub fn inspect_json(&self) -> Result<String, TensorRtError> {
        let inspector = {
            let _one_at_a_time = self.lock();
            // SAFETY: the engine is alive.
            let inspector = unsafe {
                self.shared
                    .object
                    .create(|s| &s.cuda_engine.create_engine_inspector, ())
            }?;
            // SAFETY: the inspector is the caller's to delete, and dropped before the engine.
            unsafe { Owned::new(inspector) }
        };
        // SAFETY: the inspector is alive, on this thread.
        let json: Option<CString> =
            unsafe { inspector.call(|s| &s.engine_inspector.get_engine_information, (JSON,)) }?;
        Ok(json.map_or_else(String::new, |json| json.to_string_lossy().into_owned()))
    }

    /// A context with memory of its own, for one thread at a time. The first of an engine with
    /// dynamic shapes has profile 0; TensorRT 8 gives later ones no profile, and two contexts no
    /// common one: see [`ExecutionContext::set_profile`].
    ///
    /// # Errors
    ///
    /// [`TensorRtError::CallFailed`], such as for a lack of device memory.
    pub fn context(&self, entry_points: EntryPoints) -> Result<ExecutionContext, TensorRtError> {
        let object = &self.shared.object;
        let api = object.api();
        let newest = api.has(|s| &s.execution_context.enqueue_v3);
        if entry_points == EntryPoints::Bindings && api.family != Family::Trt8 {
            return Err(TensorRtError::Unsupported {
                what: "bindings (enqueueV2)".to_owned(),
                version: api.version,
            });
        }
        let context = {
            let _one_at_a_time = self.lock();
            match api.family {
                Family::Trt8 => {
                    // SAFETY: the engine is alive, and no other thread makes a context.
                    unsafe { object.create(|s| &s.cuda_engine.create_execution_context, ()) }?
                }
                Family::Trt10 | Family::Rtx1 => {
                    // kSTATIC: memory for the largest shapes, at once.
                    let strategy = 0i32;
                    // SAFETY: as above.
                    unsafe {
                        object.create(|s| &s.cuda_engine.create_execution_context, (strategy,))
                    }?
                }
            }
        };
        // SAFETY: the context is the caller's to delete, and keeps the engine.
        let context = unsafe { Owned::new(context) };
        let by_name = newest && entry_points == EntryPoints::Newest;
        Ok(ExecutionContext::new(context, self.clone(), by_name))
    }

    pub(crate) fn profile_index(&self, profile: usize) -> Result<i32, TensorRtError> {
        let index = (profile < self.shared.profiles).then(|| i32::try_from(profile).ok());
        index.flatten().ok_or(TensorRtError::Index {
            what: "profile",
            index: profile,
            count: self.shared.profiles,
        })
    }

    pub(crate) fn tensor(&self, index: usize) -> Result<&IoTensor, TensorRtError> {
        self.io().get(index).ok_or(TensorRtError::Index {
            what: "input or output",
            index,
            count: self.io().len(),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ()> {
        self.shared
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// By which methods an engine is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EntryPoints {
    /// `enqueueV3` and tensors by name where the version has them (since 8.5), else bindings.
    #[default]
    Newest,
    /// `enqueueV2` and bindings by index; TensorRT 8 alone has them.
    Bindings,
}

fn tensor(object: &Owned, facts: Facts) -> Result<IoTensor, TensorRtError> {
    let name = facts.name.to_string_lossy().into_owned();
    let refuse = |reason: String| TensorRtError::EngineTensor {
        tensor: name.clone(),
        reason,
    };
    if facts.location == HOST {
        return Err(refuse(
            "it is read from host memory (a shape tensor)".to_owned(),
        ));
    }
    if facts.format != LINEAR {
        return Err(refuse(format!(
            "its elements are not in row-major order (TensorFormat {})",
            facts.format
        )));
    }
    let dtype = DataType::from_code(facts.dtype, object.api())
        .and_then(|dtype| Some((dtype, dtype.dtype()?)))
        .ok_or_else(|| refuse(format!("its DataType {} is not known", facts.dtype)))?;
    let (dtype, element): (DataType, DType) = dtype;
    let dims = facts
        .dims
        .ok_or_else(|| refuse("it has no shape".to_owned()))?;
    Ok(IoTensor {
        dtype,
        dims,
        is_input: facts.is_input,
        c_name: facts.name,
        element: element.size_bytes(),
        binding: facts.binding,
        name,
    })
}

fn named_tensors(object: &Owned) -> Result<Vec<Facts>, TensorRtError> {
    // SAFETY: here and below, the engine is alive and indices and names are its own.
    let count: i32 = unsafe { object.call(|s| &s.cuda_engine.get_nb_io_tensors, ()) }?;
    (0..count)
        .map(|index| {
            // SAFETY: as above.
            let name: Option<CString> =
                unsafe { object.call(|s| &s.cuda_engine.get_io_tensor_name, (index,)) }?;
            let name = name.unwrap_or_default();
            // SAFETY: as above.
            let mode: i32 =
                unsafe { object.call(|s| &s.cuda_engine.get_tensor_io_mode, (&name,)) }?;
            let has_bindings = object.api().has(|s| &s.cuda_engine.get_binding_index);
            let binding = if has_bindings {
                // SAFETY: as above.
                Some(unsafe { object.call(|s| &s.cuda_engine.get_binding_index, (&name,)) }?)
            } else {
                None
            };
            Ok(Facts {
                // SAFETY: as above.
                dtype: unsafe { object.call(|s| &s.cuda_engine.get_tensor_data_type, (&name,)) }?,
                // SAFETY: as above.
                location: unsafe { object.call(|s| &s.cuda_engine.get_tensor_location, (&name,)) }?,
                // SAFETY: as above.
                format: unsafe { object.call(|s| &s.cuda_engine.get_tensor_format, (&name,)) }?,
                // SAFETY: as above.
                dims: unsafe { object.call(|s| &s.cuda_engine.get_tensor_shape, (&name,)) }?,
                is_input: mode == INPUT,
                binding,
                name,
            })
        })
        .collect()
}

/// The bindings of profile 0; those of further profiles repeat them.
fn bindings(object: &Owned, profiles: usize) -> Result<Vec<Facts>, TensorRtError> {
    // SAFETY: here and below, the engine is alive and indices are its own.
    let count: i32 = unsafe { object.call(|s| &s.cuda_engine.get_nb_bindings, ()) }?;
    let count = count / i32::try_from(profiles).unwrap_or(i32::MAX);
    (0..count)
        .map(|index| {
            // SAFETY: as above.
            let name: Option<CString> =
                unsafe { object.call(|s| &s.cuda_engine.get_binding_name, (index,)) }?;
            Ok(Facts {
                name: name.unwrap_or_default(),
                // SAFETY: as above.
                dtype: unsafe { object.call(|s| &s.cuda_engine.get_binding_data_type, (index,)) }?,
                // SAFETY: as above.
                location: unsafe { object.call(|s| &s.cuda_engine.get_location, (index,)) }?,
                // SAFETY: as above.
                format: unsafe { object.call(|s| &s.cuda_engine.get_binding_format, (index,)) }?,
                // SAFETY: as above.
                dims: unsafe { object.call(|s| &s.cuda_engine.get_binding_dimensions, (index,)) }?,
                // SAFETY: as above.
                is_input: unsafe { object.call(|s| &s.cuda_engine.binding_is_input, (index,)) }?,
                binding: Some(index),
            })
        })
        .collect()
}
