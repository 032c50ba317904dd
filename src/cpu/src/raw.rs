//! The calls of ONNX Runtime that take memory which ort's safe API would copy or own: initializers
//! over the caller's weights, inputs and outputs over the caller's tensors. Also reads a library's
//! version before ort, which panics at a library that offers no fitting API, gets to see it.

use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;

use ort::memory::MemoryInfo;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{DynTensor, DynTensorValueType, DynValue, TensorElementType};
use ort::{AsPointer, sys};
use smallvec::SmallVec;

use crate::initializers::Initializer;
use crate::{CpuError, Weights};

type ApiBase = unsafe extern "C" fn() -> *const sys::OrtApiBase;

/// The version of the library at `path`, which ort can use.
pub(crate) fn version(path: &Path) -> Result<String, CpuError> {
    let foreign = |reason| CpuError::LibraryForeign {
        path: path.to_owned(),
        reason,
    };
    // SAFETY: loading runs the library's initializers; `Library::load` asks for a trusted file.
    let library =
        unsafe { libloading::Library::new(path) }.map_err(|e| CpuError::unloadable(path, &e))?;
    // SAFETY: ONNX Runtime declares this symbol with this signature.
    let base = unsafe { library.get::<ApiBase>(b"OrtGetApiBase\0") }
        .map_err(|_| foreign("it has no OrtGetApiBase"))?;
    // SAFETY: the function takes nothing and returns a pointer to static data, or null.
    let base = unsafe { base() };
    // SAFETY: as above; the structure has been the same in every release.
    let base = unsafe { base.as_ref() }.ok_or_else(|| foreign("OrtGetApiBase returned null"))?;
    // SAFETY: the function takes nothing and returns a static string, or null.
    let text = unsafe { (base.GetVersionString)() };
    if text.is_null() {
        return Err(foreign("it states no version"));
    }
    // SAFETY: not null, and a static string that ends with a zero byte.
    let text = unsafe { CStr::from_ptr(text) };
    let version = text.to_string_lossy().into_owned();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let fits = numbers.next() == Some(Some(1))
        && numbers
            .next()
            .flatten()
            .is_some_and(|minor| minor >= ort::MINOR_VERSION);
    if !fits {
        return Err(CpuError::LibraryVersion {
            path: path.to_owned(),
            found: version,
        });
    }
    // SAFETY: the function takes any number and returns a pointer to static data, or null.
    let api = unsafe { (base.GetApi)(ort::MINOR_VERSION) };
    if api.is_null() {
        return Err(foreign("it does not offer the API of its version"));
    }
    Ok(version)
}

/// An `OrtValue` over memory that it does not own.
struct Handle(NonNull<sys::OrtValue>);

// SAFETY: a handle is a reference-counted description of memory, tied to no thread.
unsafe impl Send for Handle {}

impl Handle {
    /// # Safety
    ///
    /// `data` is valid for `len` bytes, for writes too if the value becomes an output, for as long
    /// as the handle or anything that was given it is used.
    unsafe fn new(
        info: &MemoryInfo<'_>,
        data: *mut u8,
        len: usize,
        dtype: TensorElementType,
        dims: &[i64],
    ) -> Result<Self, ort::Error> {
        let mut value = ptr::null_mut();
        // SAFETY: all pointers are valid; ONNX Runtime checks `len` against type and dims.
        let status = unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                info.ptr(),
                data.cast::<c_void>(),
                len,
                dims.as_ptr(),
                dims.len(),
                dtype.into(),
                &mut value,
            )
        };
        check(status)?;
        NonNull::new(value)
            .map(Self)
            .ok_or_else(|| ort::Error::new("a tensor came out null"))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the pointer came from ONNX Runtime and is released once.
        unsafe { (ort::api().ReleaseValue)(self.0.as_ptr()) }
    }
}

fn check(status: sys::OrtStatusPtr) -> Result<(), ort::Error> {
    // SAFETY: only called with what a function of the API just returned.
    unsafe { ort::Error::result_from_status(status) }
}

/// A tensor over borrowed memory.
pub(crate) struct Borrowed<'m> {
    handle: Handle,
    memory: PhantomData<&'m mut [u8]>,
}

/// An output of a run.
pub(crate) enum Output<'m> {
    /// Memory to write to.
    Given(Borrowed<'m>),
    /// What ONNX Runtime allocated, after the run.
    Allocated(Option<DynTensor>),
}

/// Pointers to names, as a run wants them.
struct Names {
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

// SAFETY: the pointers are to the strings beside them, which never change.
unsafe impl Send for Names {}

impl Names {
    fn new<'n>(names: impl Iterator<Item = &'n str>) -> Result<Self, ort::Error> {
        let strings = names
            .map(CString::new)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| ort::Error::new("a name holds a zero byte"))?;
        Ok(Self {
            pointers: strings.iter().map(|name| name.as_ptr()).collect(),
            _strings: strings,
        })
    }
}

/// A session whose initializers lie in memory that it does not own.
pub(crate) struct RawSession {
    // Dropped in this order: the session reads the initializers, which lie in the weights.
    session: Session,
    _initializers: Vec<Handle>,
    _weights: Weights,
    info: MemoryInfo<'static>,
    input_names: Names,
    output_names: Names,
}

impl RawSession {
    pub(crate) fn new(
        mut builder: SessionBuilder,
        onnx: &[u8],
        find: impl FnOnce(&[u8]) -> Result<Vec<Initializer>, CpuError>,
        weights: Weights,
    ) -> Result<Self, CpuError> {
        let info = MemoryInfo::default();
        let mut handles = Vec::new();
        let blob = (*weights).as_ref();
        for initializer in find(blob)? {
            let doing = "take an initializer";
            let bytes = blob.get(initializer.bytes.clone()).unwrap_or_default();
            // SAFETY: the bytes are borrowed from `weights`, of which the session keeps a reference
            // until after it is dropped, so that nobody can change or free them; an initializer is
            // only read.
            let handle = unsafe {
                Handle::new(
                    &info,
                    bytes.as_ptr().cast_mut(),
                    bytes.len(),
                    element_type(initializer.dtype),
                    &initializer.dims,
                )
            }
            .map_err(CpuError::runtime(doing))?;
            let name = initializer.name.as_ptr();
            let value: *const sys::OrtValue = handle.0.as_ptr();
            // SAFETY: pointers to one name and one value; the options count a reference to it. Tells
            // the graph optimizers where the data is.
            let status = unsafe {
                (ort::api().AddExternalInitializers)(builder.ptr_mut(), &name, &value, 1)
            };
            check(status).map_err(CpuError::runtime(doing))?;
            // SAFETY: the name is copied, and `handle` outlives the session. Lets the kernels read
            // the data where it is.
            let status = unsafe { (ort::api().AddInitializer)(builder.ptr_mut(), name, value) };
            check(status).map_err(CpuError::runtime(doing))?;
            handles.push(handle);
        }
        let session = builder
            .commit_from_memory(onnx)
            .map_err(CpuError::runtime("make a session"))?;
        drop(builder);
        let names = |outlets: &[ort::value::Outlet]| {
            Names::new(outlets.iter().map(ort::value::Outlet::name))
                .map_err(CpuError::runtime("read the model's interface"))
        };
        Ok(Self {
            input_names: names(session.inputs())?,
            output_names: names(session.outputs())?,
            session,
            _initializers: handles,
            _weights: weights,
            info,
        })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// A tensor to read.
    pub(crate) fn input<'m>(
        &self,
        bytes: &'m [u8],
        dtype: TensorElementType,
        dims: &[i64],
    ) -> Result<Borrowed<'m>, ort::Error> {
        // SAFETY: valid for as long as the borrow lasts; an input is only read.
        let handle = unsafe {
            Handle::new(
                &self.info,
                bytes.as_ptr().cast_mut(),
                bytes.len(),
                dtype,
                dims,
            )
        }?;
        Ok(Borrowed {
            handle,
            memory: PhantomData,
        })
    }

    /// A tensor to write.
    pub(crate) fn output<'m>(
        &self,
        bytes: &'m mut [u8],
        dtype: TensorElementType,
        dims: &[i64],
    ) -> Result<Borrowed<'m>, ort::Error> {
        // SAFETY: valid for reads and writes for as long as the borrow lasts.
        let handle =
            unsafe { Handle::new(&self.info, bytes.as_mut_ptr(), bytes.len(), dtype, dims) }?;
        Ok(Borrowed {
            handle,
            memory: PhantomData,
        })
    }

    /// Runs the model. There is one tensor for each of its inputs and outputs.
    pub(crate) fn run(
        &mut self,
        inputs: &[Borrowed<'_>],
        outputs: &mut [Output<'_>],
    ) -> Result<(), ort::Error> {
        let (input_names, output_names) = (&self.input_names.pointers, &self.output_names.pointers);
        if inputs.len() != input_names.len() || outputs.len() != output_names.len() {
            return Err(ort::Error::new("wrong number of inputs or outputs"));
        }
        let input_values: SmallVec<[*const sys::OrtValue; 16]> = inputs
            .iter()
            .map(|input| input.handle.0.as_ptr().cast_const())
            .collect();
        let mut output_values: SmallVec<[*mut sys::OrtValue; 16]> = outputs
            .iter()
            .map(|output| match output {
                Output::Given(given) => given.handle.0.as_ptr(),
                Output::Allocated(_) => ptr::null_mut(),
            })
            .collect();
        // SAFETY: each array holds as many valid entries as its length says, a null output asks for
        // an allocation, and `&mut self` keeps a second run out.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                input_names.as_ptr(),
                input_values.as_ptr(),
                input_values.len(),
                output_names.as_ptr(),
                output_names.len(),
                output_values.as_mut_ptr(),
            )
        };
        check(status)?;
        for (output, value) in outputs.iter_mut().zip(output_values) {
            if let Output::Allocated(tensor) = output {
                let value = NonNull::new(value)
                    .ok_or_else(|| ort::Error::new("an output came out null"))?;
                // SAFETY: the run handed this value over; the session's allocator made it.
                let value = unsafe { DynValue::from_ptr(value, Some(self.session.allocator())) };
                *tensor = Some(value.downcast::<DynTensorValueType>()?);
            }
        }
        Ok(())
    }
}

/// The first `len` bytes of a tensor that ONNX Runtime allocated, `len` being what its type and
/// shape need.
pub(crate) fn bytes(tensor: &DynTensor, len: usize) -> &[u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the tensor lies in CPU memory, the only provider being the CPU's, is initialised by
    // the run that made it, and lives as long as the borrow.
    unsafe { slice::from_raw_parts(tensor.data_ptr().cast::<u8>(), len) }
}

fn element_type(dtype: tfjet_core::DType) -> TensorElementType {
    crate::engine::element_type(dtype).unwrap_or(TensorElementType::Undefined)
}
