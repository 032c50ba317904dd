//! NVRTC's functions and its programs.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use libloading::Library;

use super::loader;

type Raw = *mut c_void;

macro_rules! entry_points {
    (
        required { $(fn $name:ident($($argument:ty),* $(,)?);)* }
        optional { $(fn $option:ident($($parameter:ty),* $(,)?);)* }
    ) => {
        /// NVRTC's functions. Those of `required` exist since CUDA 10.2 at the latest.
        #[allow(non_snake_case, reason = "NVRTC's own names")]
        pub(crate) struct Api {
            $($name: unsafe extern "C" fn($($argument),*) -> c_int,)*
            $($option: Option<unsafe extern "C" fn($($parameter),*) -> c_int>,)*
            nvrtcGetErrorString: Option<unsafe extern "C" fn(c_int) -> *const c_char>,
        }

        impl Api {
            /// NVRTC's functions in `library`, or the name of one that it lacks.
            pub(crate) fn probe(library: &Library) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        // SAFETY: nvrtc.h declares the function with this signature, and the
                        // library is kept loaded once the table is in use.
                        let found = unsafe {
                            loader::function(library, concat!(stringify!($name), "\0"))
                        };
                        found.ok_or(stringify!($name))?
                    },)*
                    // SAFETY: as above.
                    $($option: unsafe {
                        loader::function(library, concat!(stringify!($option), "\0"))
                    },)*
                    // SAFETY: as above.
                    nvrtcGetErrorString: unsafe {
                        loader::function(library, "nvrtcGetErrorString\0")
                    },
                })
            }
        }
    };
}

entry_points! {
    required {
        fn nvrtcVersion(*mut c_int, *mut c_int);
        fn nvrtcCreateProgram(
            *mut Raw, *const c_char, *const c_char, c_int, *const *const c_char,
            *const *const c_char,
        );
        fn nvrtcCompileProgram(Raw, c_int, *const *const c_char);
        fn nvrtcGetPTXSize(Raw, *mut usize);
        fn nvrtcGetPTX(Raw, *mut c_char);
        fn nvrtcGetProgramLogSize(Raw, *mut usize);
        fn nvrtcGetProgramLog(Raw, *mut c_char);
        fn nvrtcDestroyProgram(*mut Raw);
    }
    optional {
        fn nvrtcGetCUBINSize(Raw, *mut usize);
        fn nvrtcGetCUBIN(Raw, *mut c_char);
        fn nvrtcGetNumSupportedArchs(*mut c_int);
        fn nvrtcGetSupportedArchs(*mut c_int);
    }
}

type GetSize = unsafe extern "C" fn(Raw, *mut usize) -> c_int;
type GetBytes = unsafe extern "C" fn(Raw, *mut c_char) -> c_int;

impl Api {
    pub(crate) fn version(&self) -> Option<(u32, u32)> {
        let (mut major, mut minor) = (0, 0);
        // SAFETY: writes two integers.
        let code = unsafe { (self.nvrtcVersion)(&raw mut major, &raw mut minor) };
        let version = (u32::try_from(major).ok()?, u32::try_from(minor).ok()?);
        (code == 0).then_some(version)
    }

    /// Whether it makes code for a GPU itself, besides PTX.
    pub(crate) fn has_cubin(&self) -> bool {
        self.nvrtcGetCUBIN.is_some() && self.nvrtcGetCUBINSize.is_some()
    }

    /// The architectures that it knows, such as 87, where it can say so.
    pub(crate) fn architectures(&self) -> Option<Vec<u32>> {
        let (get_count, get) = (
            self.nvrtcGetNumSupportedArchs?,
            self.nvrtcGetSupportedArchs?,
        );
        let mut count = 0;
        // SAFETY: writes one integer.
        let code = unsafe { get_count(&raw mut count) };
        let mut known = vec![0; usize::try_from(count).ok()?];
        if code != 0 || known.is_empty() {
            return None;
        }
        // SAFETY: writes as many integers as it announced.
        let code = unsafe { get(known.as_mut_ptr()) };
        let known = known
            .into_iter()
            .filter_map(|arch| u32::try_from(arch).ok());
        (code == 0).then(|| known.collect())
    }

    /// Compiles to a cubin where `cubin` is set, else to PTX that ends with a zero byte; or gives
    /// the compiler's log or the result's text.
    pub(crate) fn compile(
        &self,
        name: &CStr,
        source: &CStr,
        options: &[CString],
        cubin: bool,
    ) -> Result<Vec<u8>, String> {
        let mut program = Program {
            api: self,
            raw: ptr::null_mut(),
        };
        // SAFETY: writes one pointer; the strings end with zero bytes; there are no headers.
        let code = unsafe {
            (self.nvrtcCreateProgram)(
                &raw mut program.raw,
                source.as_ptr(),
                name.as_ptr(),
                0,
                ptr::null(),
                ptr::null(),
            )
        };
        self.check(code)?;
        let options: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let count = c_int::try_from(options.len()).map_err(|_| "too many options".to_owned())?;
        // SAFETY: the program exists, and `options` are `count` strings that end with zero bytes.
        let code = unsafe { (self.nvrtcCompileProgram)(program.raw, count, options.as_ptr()) };
        if let Err(result) = self.check(code) {
            return Err(program.log().unwrap_or(result));
        }
        match (self.nvrtcGetCUBINSize, self.nvrtcGetCUBIN) {
            (Some(size), Some(get)) if cubin => program.bytes(size, get),
            _ => program.bytes(self.nvrtcGetPTXSize, self.nvrtcGetPTX),
        }
    }

    fn check(&self, code: c_int) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        let text = self.nvrtcGetErrorString.map_or(ptr::null(), |get_text| {
            // SAFETY: takes any integer and returns a static string, or null.
            unsafe { get_text(code) }
        });
        if text.is_null() {
            return Err(format!("result {code}"));
        }
        // SAFETY: not null, and a static string that ends with a zero byte.
        let text = unsafe { CStr::from_ptr(text) };
        Err(text.to_string_lossy().into_owned())
    }
}

struct Program<'a> {
    api: &'a Api,
    raw: Raw,
}

impl Program<'_> {
    fn bytes(&self, get_size: GetSize, get: GetBytes) -> Result<Vec<u8>, String> {
        let mut size = 0;
        // SAFETY: writes one integer; the program exists.
        let code = unsafe { get_size(self.raw, &raw mut size) };
        self.api.check(code)?;
        let mut bytes = vec![0; size];
        // SAFETY: writes as many bytes as it announced.
        let code = unsafe { get(self.raw, bytes.as_mut_ptr().cast()) };
        self.api.check(code)?;
        Ok(bytes)
    }

    /// The compiler's log, unless it is empty.
    fn log(&self) -> Option<String> {
        let log = self
            .bytes(self.api.nvrtcGetProgramLogSize, self.api.nvrtcGetProgramLog)
            .ok()?;
        let text = String::from_utf8_lossy(&log);
        let text = text.trim_end_matches('\0').trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        if !self.raw.is_null() {
            // SAFETY: the program was created and is not used any more.
            unsafe { (self.api.nvrtcDestroyProgram)(&raw mut self.raw) };
        }
    }
}
