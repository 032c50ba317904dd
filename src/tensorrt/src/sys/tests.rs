//! The generated tables against `vtables.json`, read another way than `build.rs` does.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Family, Slot};
use crate::{Flavor, Version};

/// Class, then its slots' signatures in order.
type Classes = BTreeMap<String, Vec<String>>;

const FAMILIES: [(&str, Family); 3] = [
    ("trt8", Family::Trt8),
    ("trt10", Family::Trt10),
    ("rtx1", Family::Rtx1),
];

/// Every version of the file with its family and all its classes written out.
fn versions() -> Vec<(Version, Family, Classes)> {
    let json: Value = serde_json::from_str(include_str!("../../vtables.json")).unwrap();
    let mut all = Vec::new();
    for (name, family) in FAMILIES {
        let versions = json["families"][name].as_object().unwrap();
        let mut numbers: Vec<Version> = versions.keys().map(|key| parse(key)).collect();
        numbers.sort();
        let mut classes = Classes::new();
        for version in numbers {
            let key = versions.keys().find(|key| parse(key) == version).unwrap();
            for (class, slots) in versions[key].as_object().unwrap() {
                let slots = slots.as_array().unwrap();
                let entry = classes.entry(class.clone()).or_default();
                if let Some(kept) = slots[0].as_u64() {
                    entry.truncate(usize::try_from(kept).unwrap());
                } else {
                    assert!(entry.is_empty(), "{version}: {class} is laid out anew");
                }
                entry.extend(slots.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            all.push((version, family, classes.clone()));
        }
    }
    all
}

fn parse(key: &str) -> Version {
    let (flavor, numbers) = match key.strip_prefix("rtx") {
        Some(numbers) => (Flavor::TensorRtRtx, numbers),
        None => (Flavor::TensorRt, key),
    };
    let mut numbers = numbers.split('.').map(|n| n.parse().unwrap());
    let mut next = || numbers.next().unwrap_or(0);
    Version {
        flavor,
        major: next(),
        minor: next(),
        patch: next(),
    }
}

/// `Dims getShape(int32_t)` as name and types.
fn split(signature: &str) -> (&str, Vec<&str>) {
    let open = signature.find('(').unwrap();
    let space = signature[..open].rfind(' ').unwrap();
    let parameters = &signature[open + 1..signature.len() - 1];
    let mut types = vec![&signature[..space]];
    types.extend(parameters.split(',').filter(|p| !p.is_empty()));
    (&signature[space + 1..open], types)
}

/// The methods of a class, an overload that has an earlier namesake left out.
fn methods(slots: &[String]) -> BTreeMap<&str, (usize, Vec<&str>)> {
    let mut methods = BTreeMap::new();
    for (index, slot) in slots.iter().enumerate().filter(|(_, slot)| *slot != "~") {
        let (name, types) = split(slot);
        methods.entry(name).or_insert((index, types));
    }
    methods
}

#[test]
fn every_slot_is_where_the_version_has_it_and_absent_where_it_has_not() {
    let mut found = 0;
    for (version, family, classes) in versions() {
        let mut seen: Vec<&str> = Vec::new();
        for slot in family.slots().all() {
            if seen.contains(&slot.name) {
                continue;
            }
            seen.push(slot.name);
            let (class, method) = slot.name.split_once("::").unwrap();
            let methods = classes.get(class).map(|slots| methods(slots));
            let expected = methods.and_then(|methods| methods.get(method).cloned());
            let index = slot.index(version).ok();
            assert_eq!(
                index,
                expected.as_ref().map(|(index, _)| *index),
                "{} of {version}",
                slot.name
            );
            if let Some((_, types)) = expected {
                check_signature(slot, &types);
                found += 1;
            }
        }
    }
    assert!(found > 2000, "only {found} slots were compared");
}

/// The letters of `sys::call`, from the C++ types.
fn check_signature(slot: &Slot, types: &[&str]) {
    assert_eq!(slot.signature.len(), types.len(), "{}", slot.name);
    for (&code, cpp) in slot.signature.iter().zip(types) {
        let reference = cpp.ends_with('*') || cpp.ends_with('&');
        let fits = match code {
            b'R' => *cpp == "const Dims&",
            b'p' => {
                *cpp != "const Dims&"
                    && (reference || cpp.contains("cudaStream_t") || *cpp == "cudaEvent_t")
            }
            b'D' => *cpp == "Dims",
            b'H' => *cpp == "DimsHW",
            b'W' => *cpp == "Weights",
            b'v' => *cpp == "void",
            b'b' => *cpp == "bool",
            b'f' => *cpp == "float",
            b'd' => *cpp == "double",
            b'l' => ["int64_t", "uint64_t", "size_t"].contains(cpp),
            b'i' => {
                !reference
                    && ![
                        "Dims", "DimsHW", "Weights", "bool", "float", "double", "void",
                    ]
                    .contains(cpp)
                    && !cpp.contains("64")
                    && *cpp != "size_t"
            }
            b'I' => *cpp == "InterfaceInfo",
            b'T' => *cpp == "TimingCacheValue",
            _ => false,
        };
        assert!(fits, "{}: {cpp} as {:?}", slot.name, char::from(code));
    }
}

#[test]
fn versions_of_a_family_only_append_slots() {
    let versions = versions();
    for pair in versions.windows(2) {
        let [(_, old_family, old), (version, family, new)] = pair else {
            unreachable!()
        };
        if old_family != family {
            continue;
        }
        for (class, slots) in old {
            assert!(
                new[class].starts_with(slots),
                "{class} of {version} does not extend the version before"
            );
        }
    }
    assert_eq!(versions.len(), 9);
}

#[test]
fn a_method_that_a_version_lacks_is_an_error_that_names_it() {
    let version = parse("8.2.1");
    let slots = Family::Trt8.slots();
    let error = slots.builder_config.set_memory_pool_limit.index(version);
    assert_eq!(
        error.unwrap_err().to_string(),
        "TensorRT 8.2.1 has no VBuilderConfig::setMemoryPoolLimit (it came with 8.4)"
    );
    let error = slots.builder_config.set_progress_monitor.index(version);
    assert_eq!(
        error.unwrap_err().to_string(),
        "TensorRT 8.2.1 has no VBuilderConfig::setProgressMonitor"
    );
    assert!(
        slots
            .execution_context
            .enqueue_v3
            .index(parse("8.4.3"))
            .is_err()
    );
    assert_eq!(
        slots
            .execution_context
            .enqueue_v3
            .index(parse("8.5.0"))
            .unwrap(),
        44
    );
}

#[test]
fn methods_of_layer_classes_go_to_the_layers_own_part() {
    let slots = Family::Trt10.slots();
    assert!(slots.resize_layer.set_resize_mode.is_of_layer());
    assert!(!slots.layer.set_name.is_of_layer());
    assert!(!slots.tensor.set_name.is_of_layer());
    assert!(!slots.network_definition.add_shuffle.is_of_layer());
}

/// The unreduced file, where `TFJET_VTABLES` names it.
#[test]
fn vtables_json_says_what_the_headers_do() {
    let Some(path) = std::env::var_os("TFJET_VTABLES") else {
        eprintln!("SKIPPED: TFJET_VTABLES does not name the JSON of all vtables");
        return;
    };
    let full: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for (version, _, classes) in versions() {
        let text = format!("{}.{}.{}", version.major, version.minor, version.patch);
        let keys = [
            text.clone(),
            text.replace(".0", ""),
            format!("rtx{}", text.trim_end_matches(".0")),
        ];
        let headers = keys.iter().find_map(|key| full.get(key)).unwrap();
        for (class, slots) in classes {
            let theirs = [class.clone(), format!("apiv::{class}")];
            let theirs = theirs.iter().find_map(|name| headers.get(name)).unwrap();
            let theirs: Vec<&str> = theirs
                .as_array()
                .unwrap()
                .iter()
                .map(|s| s.as_str().unwrap())
                .collect();
            assert_eq!(theirs.len(), slots.len(), "{class} of {version}");
            for (theirs, ours) in theirs.iter().zip(&slots) {
                if theirs.starts_with('~') {
                    assert_eq!(ours, "~");
                    continue;
                }
                let (name, types) = split(ours);
                assert!(
                    theirs.contains(&format!(" {name}(")) || theirs.contains(&format!("*{name}(")),
                    "{ours} is {theirs}"
                );
                let count = theirs[theirs.find('(').unwrap()..]
                    .split(',')
                    .filter(|p| p.len() > 2 || *p == "()")
                    .count();
                let empty = theirs.contains("()");
                assert_eq!(
                    types.len() - 1,
                    if empty { 0 } else { count },
                    "{ours} is {theirs}"
                );
            }
        }
    }
}
