//! Generates the slot tables of `src/sys` from `vtables.json`: the struct `Slots` with a struct for
//! each class, and for each family of versions its table.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;

/// One virtual method of a class in one family.
struct Method {
    index: usize,
    since: u32,
    signature: String,
}

/// Class name, then method's name as a field, then the method and its C++ name.
type Classes = BTreeMap<String, BTreeMap<String, (String, Method)>>;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=vtables.json");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let json: Value = serde_json::from_str(&fs::read_to_string("vtables.json")?)?;
    let families = json["families"].as_object().ok_or("no families")?;
    let mut tables = BTreeMap::new();
    for (family, versions) in families {
        tables.insert(family.clone(), classes(versions)?);
    }
    let mut all: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for classes in tables.values() {
        for (class, methods) in classes {
            let fields = all.entry(class).or_default();
            fields.extend(
                methods
                    .iter()
                    .map(|(f, (name, _))| (f.as_str(), name.as_str())),
            );
        }
    }
    fs::write(out.join("slots.rs"), structs(&all)?)?;
    for (family, classes) in &tables {
        let code = table(&all, classes)?;
        fs::write(out.join(format!("{family}.rs")), code)?;
    }
    Ok(())
}

/// The methods of one family's newest version, each with the version that it came with. A class's
/// older versions must be a prefix of its newer ones.
fn classes(versions: &Value) -> Result<Classes, Box<dyn Error>> {
    let mut versions: Vec<_> = versions.as_object().ok_or("no versions")?.iter().collect();
    versions.sort_by_key(|(version, _)| numbers(version));
    let mut classes = Classes::new();
    let mut lengths: BTreeMap<String, usize> = BTreeMap::new();
    for (version, reduced) in versions {
        let minor = *numbers(version)
            .get(1)
            .ok_or("a version without a minor number")?;
        for (class, slots) in reduced.as_object().ok_or("no classes")? {
            let slots = slots.as_array().ok_or("no slots")?;
            let kept = slots.first().and_then(Value::as_u64).unwrap_or(0) as usize;
            let before = lengths.get(class).copied().unwrap_or(0);
            if kept != before {
                return Err(format!("{class} of {version} does not extend the one before").into());
            }
            let fresh = slots.iter().filter_map(Value::as_str);
            let methods = classes.entry(class.clone()).or_default();
            let mut index = kept;
            for text in fresh {
                if text != "~" {
                    let (name, signature) = signature(text)?;
                    let mut field = snake(name);
                    if field == "type" {
                        field.insert_str(0, "r#");
                    }
                    while methods.contains_key(&field) {
                        field.push_str("_overload");
                    }
                    let method = Method {
                        index,
                        since: minor,
                        signature,
                    };
                    methods.insert(field, (name.to_owned(), method));
                }
                index += 1;
            }
            lengths.insert(class.clone(), index);
        }
    }
    Ok(classes)
}

fn numbers(version: &str) -> Vec<u32> {
    let digits = version.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.split('.').filter_map(|n| n.parse().ok()).collect()
}

/// The method's name and its calling code: one letter for the result, then one for each argument.
fn signature(text: &str) -> Result<(&str, String), Box<dyn Error>> {
    let (head, parameters) = text.split_once('(').ok_or("no parameters")?;
    let parameters = parameters.strip_suffix(')').ok_or("no end of parameters")?;
    let (result, name) = head.rsplit_once(' ').ok_or("no result")?;
    let mut codes = String::from(code(result)?);
    for parameter in parameters.split(',').filter(|p| !p.is_empty()) {
        codes.push(code(parameter)?);
    }
    Ok((name, codes))
}

/// Enumerations of 32 bits and sets of them.
const ENUMS: &[&str] = &[
    "APILanguage",
    "ActivationType",
    "AttentionNormalizationOp",
    "BoundingBoxFormat",
    "BuilderFlag",
    "BuilderFlags",
    "CausalMaskKind",
    "CollectiveOperation",
    "ComputeCapability",
    "CumulativeOperation",
    "DLAWorkspaceAllocationStrategy",
    "DataType",
    "DeviceType",
    "ElementWiseOperation",
    "EngineCapability",
    "EngineStat",
    "EngineValidity",
    "ExecutionContextAllocationStrategy",
    "FillOperation",
    "GatherMode",
    "HardwareCompatibilityLevel",
    "InterpolationMode",
    "KVCacheMode",
    "LayerInformationFormat",
    "LayerType",
    "MatrixOperation",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "NetworkDefinitionCreationFlags",
    "OptProfileSelector",
    "PaddingMode",
    "PoolingType",
    "PreviewFeature",
    "ProfilingVerbosity",
    "QuantizationFlag",
    "QuantizationFlags",
    "RNNOperation",
    "ReduceOperation",
    "ResizeCoordinateTransformation",
    "ResizeMode",
    "ResizeRoundMode",
    "ResizeSelector",
    "RuntimePlatform",
    "SampleMode",
    "ScaleMode",
    "ScatterMode",
    "Severity",
    "SliceMode",
    "TacticSources",
    "TempfileControlFlags",
    "TensorFormat",
    "TensorFormats",
    "TensorIOMode",
    "TensorLocation",
    "TilingOptimizationLevel",
    "TopKOperation",
    "UnaryOperation",
];

/// How a C++ type is passed: see `sys::call`.
fn code(cpp: &str) -> Result<char, Box<dyn Error>> {
    let plain = cpp.trim_start_matches("const ");
    Ok(match plain {
        "void" => 'v',
        "bool" => 'b',
        "int32_t" | "uint32_t" => 'i',
        "int64_t" | "uint64_t" | "size_t" => 'l',
        "float" => 'f',
        "double" => 'd',
        "Dims" => 'D',
        "Dims&" => 'R',
        "DimsHW" => 'H',
        "Weights" => 'W',
        "InterfaceInfo" => 'I',
        "TimingCacheValue" => 'T',
        "cudaStream_t" | "cudaEvent_t" => 'p',
        _ if plain.ends_with(['*', '&']) => 'p',
        _ if ENUMS.contains(&plain) => 'i',
        _ => return Err(format!("the C++ type {cpp:?} is unknown").into()),
    })
}

/// `getNbIOTensors` becomes `get_nb_io_tensors`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.replace("ReLU", "Relu").chars().collect();
    let mut out = String::new();
    for (i, &letter) in letters.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|i| letters.get(i));
        let after = letters.get(i + 1);
        let word = letter.is_uppercase()
            && before.is_some_and(|b| !b.is_uppercase() || after.is_some_and(|a| a.is_lowercase()));
        if word {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// The field of a class in `Slots`: `VCudaEngine` becomes `cuda_engine`.
fn class_field(class: &str) -> String {
    snake(class.get(1..).unwrap_or(class))
}

type Fields<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

fn structs(all: &Fields<'_>) -> Result<String, Box<dyn Error>> {
    let mut code = String::from(
        "/// The slots of all classes in one family of versions.\n#[derive(Debug)]\npub(crate) struct Slots {\n",
    );
    for class in all.keys() {
        writeln!(code, "    pub(crate) {}: {class},", class_field(class))?;
    }
    code.push_str("}\n");
    for (class, fields) in all {
        writeln!(
            code,
            "\n/// `{class}`.\n#[derive(Debug)]\npub(crate) struct {class} {{"
        )?;
        for field in fields.keys() {
            writeln!(code, "    pub(crate) {field}: Slot,")?;
        }
        code.push_str("}\n");
    }
    code.push_str("\nimpl Slots {\n    #[cfg(test)]\n    pub(crate) fn all(&self) -> Vec<&Slot> {\n        vec![\n");
    for (class, fields) in all {
        for field in fields.keys() {
            writeln!(code, "            &self.{}.{field},", class_field(class))?;
        }
    }
    code.push_str("        ]\n    }\n}\n");
    Ok(code)
}

fn table(all: &Fields<'_>, classes: &Classes) -> Result<String, Box<dyn Error>> {
    let mut code = String::from(
        "/// Where the family has its methods.\npub(crate) static SLOTS: slots::Slots = slots::Slots {\n",
    );
    for (class, fields) in all {
        writeln!(code, "    {}: slots::{class} {{", class_field(class))?;
        let methods = classes.get(*class);
        for (field, name) in fields {
            let found = methods.and_then(|methods| methods.get(*field));
            match found {
                Some((_, method)) => writeln!(
                    code,
                    "        {field}: slots::Slot::new(\"{class}::{name}\", {}, {}, b\"{}\"),",
                    method.index, method.since, method.signature
                )?,
                None => writeln!(
                    code,
                    "        {field}: slots::Slot::absent(\"{class}::{name}\"),"
                )?,
            }
        }
        code.push_str("    },\n");
    }
    code.push_str("};\n");
    Ok(code)
}
