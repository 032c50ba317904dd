//! The engine cache: what is kept is found again, what is damaged is refused, and a bundle gets
//! engines only that were built from it for this machine.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use common::{Model, f32s};
use tempfile::TempDir;
use tfjet_bundle::{Bundle, BundleWriter, EngineHeader, SectionKind};
use tfjet_core::{DType, Layer, Precision, Quantization};
use tfjet_runtime::{
    EngineCache, EngineKey, EngineOrigin, EngineSet, EngineSetError, MachineKey, NetworkHash,
    bundle_precision,
};

fn folder() -> (TempDir, EngineCache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = EngineCache::open(&folder.path().join("engines")).unwrap();
    (folder, cache)
}

/// Two segments; the second one uses weights.
fn model() -> Model {
    let mut model = Model::default();
    let input = model.input(DType::F32, "n,3");
    let middle = model.computed(DType::F32, "n,3");
    let output = model.computed(DType::F32, "n,3");
    model.engine(0, &[input], &[middle]);
    model.engine(1, &[middle], &[output]);
    model.output(output);
    let weights = model.weights(&f32s(&[3], &[1.0, 2.0, 3.0]));
    let layer = &mut model.networks[1].layers[0].layer;
    *layer = Layer::Constant { weights };
    model
}

fn machine() -> MachineKey {
    MachineKey {
        library: "trt8.5.2".into(),
        compute_capability: Some((9, 0)),
        gpu: "NVIDIA H200".into(),
    }
}

/// The header of the engine of a segment, with its key.
fn header(bundle: &Bundle, segment: u32, precision: &str) -> EngineHeader {
    let mut header = EngineHeader {
        library: "trt8.5.2".into(),
        compute_capability: Some((9, 0)),
        precision: precision.into(),
        gpu: "NVIDIA H200".into(),
        profiles: vec![vec![[vec![1, 3], vec![8, 3], vec![8, 3]]]],
        flags: "tf32".into(),
        ..EngineHeader::default()
    };
    let network = NetworkHash::of(bundle, segment).unwrap();
    header.key = EngineKey::of(&network, &header).0;
    header
}

fn hashes(bundle: &Bundle) -> Vec<NetworkHash> {
    let segments = 0..u32::try_from(bundle.segment_count()).unwrap();
    segments
        .map(|segment| NetworkHash::of(bundle, segment).unwrap())
        .collect()
}

/// Puts engines of a precision into the cache and notes them.
fn prepare(bundle: &Bundle, cache: &EngineCache, precision: &str) -> Vec<EngineKey> {
    let headers = [0, 1].map(|segment| header(bundle, segment, precision));
    for header in &headers {
        cache.put(header, precision.as_bytes()).unwrap();
    }
    let keys = headers.each_ref().map(|header| EngineKey(header.key));
    let target = headers[0].target();
    cache.set_prepared(&hashes(bundle), &target, &keys).unwrap();
    keys.to_vec()
}

/// The bundle with engines in it.
fn with_engines(bundle: &Arc<Bundle>, headers: &[EngineHeader]) -> Arc<Bundle> {
    let mut writer = BundleWriter::from_bundle(bundle).unwrap();
    for (segment, header) in (0..).zip(headers) {
        writer
            .set_engine(header, segment, b"in the bundle")
            .unwrap();
    }
    Arc::new(Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap())
}

fn locate(
    bundle: &Arc<Bundle>,
    cache: &EngineCache,
    precision: Option<&str>,
) -> Result<EngineSet, EngineSetError> {
    EngineSet::locate(bundle, &machine(), precision, Some(cache))
}

fn refusal(result: Result<EngineSet, EngineSetError>) -> String {
    let error = result.expect_err("engines are found").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

#[test]
fn keeps_an_engine_and_finds_it_by_its_key() {
    let (_folder, cache) = folder();
    let bundle = model().bundle();
    let header = header(&bundle, 0, "fp16");
    let key = EngineKey(header.key);
    assert!(cache.get(&key).unwrap().is_none());
    cache.put(&header, b"first").unwrap();
    cache.put(&header, b"engine").unwrap();
    let entry = cache.get(&key).unwrap().unwrap();
    assert_eq!((entry.header(), entry.bytes()), (&header, &b"engine"[..]));
    assert_eq!(entry.bytes().as_ptr().addr() % 64, 0);
    assert_eq!(entry.path(), cache.dir().join(format!("{key}.jet")));
    assert_eq!(key.to_string().len(), 64);
    assert!(cache.len_bytes() > 0);
}

#[test]
fn the_key_covers_everything_that_determines_an_engine() {
    let bundle = model().bundle();
    let network = NetworkHash::of(&bundle, 1).unwrap();
    let base = header(&bundle, 1, "fp16");
    let key = |change: &dyn Fn(&mut EngineHeader)| {
        let mut header = base.clone();
        change(&mut header);
        EngineKey::of(&network, &header)
    };
    let mut keys = vec![
        key(&|_| ()),
        key(&|it| it.library = "trt8.5.3".into()),
        key(&|it| it.compute_capability = Some((8, 7))),
        key(&|it| it.compute_capability = None),
        key(&|it| it.precision = "fp32".into()),
        key(&|it| it.flags = String::new()),
        key(&|it| it.profiles[0][0][1] = vec![4, 3]),
        key(&|it| it.profiles[0][0][1] = vec![8, 3, 1]),
        key(&|it| it.profiles.push(it.profiles[0].clone())),
        EngineKey::of(&NetworkHash::of(&bundle, 0).unwrap(), &base),
    ];
    let mut other = model();
    other.weights[0] ^= 1;
    keys.push(EngineKey::of(
        &NetworkHash::of(&other.bundle(), 1).unwrap(),
        &base,
    ));
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
    let unrelated = key(&|it| {
        it.gpu = "another".into();
        it.build_seconds = 9.0;
        it.key = [7; 32];
    });
    assert_eq!(unrelated, key(&|_| ()));
    let first = NetworkHash::of(&bundle, 0).unwrap();
    assert_eq!(
        NetworkHash::of(&other.bundle(), 0).unwrap(),
        first,
        "segment 0 uses no weights"
    );
}

#[test]
fn a_damaged_entry_is_refused_and_replaced() {
    let (_folder, cache) = folder();
    let header = header(&model().bundle(), 0, "fp16");
    let key = EngineKey(header.key);
    cache.put(&header, &[7; 300]).unwrap();
    let path = cache.path(&key);
    let good = fs::read(&path).unwrap();
    let cuts = (0..good.len()).step_by(13).chain([good.len() - 1]);
    let changes = (0..good.len()).step_by(7).chain([good.len() - 1]);
    let damaged = cuts.map(|len| good[..len].to_vec());
    let damaged = damaged.chain(changes.map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    }));
    for bytes in damaged {
        fs::write(&path, &bytes).unwrap();
        let error = cache.get(&key).unwrap_err();
        assert!(error.is_damage(), "{error}");
        let error = error.to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&path, flipped).unwrap();
    let error = cache.get(&key).unwrap_err().to_string();
    assert!(
        error.contains("its hash is ") && error.contains(", expected "),
        "{error}"
    );
    cache.put(&header, &[7; 300]).unwrap();
    assert_eq!(fs::read(&path).unwrap(), good);
    assert!(cache.get(&key).unwrap().is_some());
}

#[test]
fn an_entry_under_a_foreign_name_is_refused() {
    let (_folder, cache) = folder();
    let bundle = model().bundle();
    let [first, second] = [0, 1].map(|segment| header(&bundle, segment, "fp16"));
    cache.put(&first, b"engine").unwrap();
    let (from, to) = (EngineKey(first.key), EngineKey(second.key));
    fs::rename(cache.path(&from), cache.path(&to)).unwrap();
    let error = cache.get(&to).unwrap_err().to_string();
    for word in [from.to_string(), to.to_string(), "expected".into()] {
        assert!(error.contains(&word), "{error}");
    }
    let whole = model();
    fs::write(cache.path(&from), whole.bytes(&whole.manifest())).unwrap();
    let error = cache.get(&from).unwrap_err().to_string();
    assert!(error.contains("expected one engine"), "{error}");
}

#[test]
fn timing_caches_are_kept_for_each_machine() {
    let (_folder, cache) = folder();
    assert_eq!(cache.timing_cache("trt8.5.2-sm90").unwrap(), None);
    cache.put_timing_cache("trt8.5.2-sm90", b"timings").unwrap();
    let found = cache.timing_cache("trt8.5.2-sm90").unwrap();
    assert_eq!(found.as_deref(), Some(&b"timings"[..]));
    assert_eq!(cache.timing_cache("trt8.5.2-sm87").unwrap(), None);
    let path = cache.dir().join("timing-trt8.5.2-sm90.jet");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = cache.timing_cache("trt8.5.2-sm90").unwrap_err();
    assert!(error.is_damage(), "{error}");
}

#[test]
fn a_folder_that_takes_no_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut places = vec![file.clone(), file.join("below"), "/proc/engines".into()];
    let sealed = folder.path().join("sealed");
    fs::create_dir(&sealed).unwrap();
    fs::set_permissions(&sealed, fs::Permissions::from_mode(0o555)).unwrap();
    match fs::write(sealed.join("probe"), "") {
        Err(_) => places.push(sealed.join("engines")),
        Ok(()) => eprintln!("SKIPPED the folder without permission: this user may write anywhere"),
    }
    for place in places {
        let error = EngineCache::open(&place).unwrap_err().to_string();
        let start = format!("the engine cache {} cannot be written", place.display());
        assert!(error.starts_with(&start), "{error}");
    }
    assert!(EngineCache::at(Path::new("/none")).len_bytes() == 0);
}

#[test]
fn a_cache_that_loses_its_folder_says_which_file_it_cannot_keep() {
    let (_folder, cache) = folder();
    let header = header(&model().bundle(), 0, "fp16");
    fs::remove_dir(cache.dir()).unwrap();
    for error in [
        cache.put(&header, b"engine").unwrap_err(),
        cache.put_timing_cache("trt8.5.2-sm90", b"t").unwrap_err(),
        cache.set_prepared(&[], "t", &[]).unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(
            error.contains(&cache.dir().display().to_string()),
            "{error}"
        );
    }
}

#[test]
fn a_device_in_the_place_of_an_entry_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let cache = EngineCache::at(folder.path());
    let header = header(&model().bundle(), 0, "fp16");
    let path = cache.path(&EngineKey(header.key));
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    let error = cache.put(&header, b"engine").unwrap_err().to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

#[test]
fn a_record_that_is_damaged_is_refused() {
    let (_folder, cache) = folder();
    let bundle = model().bundle();
    let keys = prepare(&bundle, &cache, "fp16");
    let target = "trt8.5.2-sm90-fp16";
    assert_eq!(
        cache.prepared(&hashes(&bundle), target).unwrap(),
        Some(keys)
    );
    assert_eq!(
        cache
            .prepared(&hashes(&bundle), "trt8.5.2-sm87-fp16")
            .unwrap(),
        None
    );
    let mut names = fs::read_dir(cache.dir())
        .unwrap()
        .map(|it| it.unwrap().path());
    let path = names
        .find(|it| it.extension().is_some_and(|it| it == "prepared"))
        .unwrap();
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        fs::write(&path, bytes).unwrap();
        let error = cache.prepared(&hashes(&bundle), target).unwrap_err();
        assert!(error.is_damage(), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()));
        fs::write(&path, &good[..at]).unwrap();
        assert!(
            cache.prepared(&hashes(&bundle), target).is_err(),
            "{at} bytes"
        );
    }
    let error = refusal(locate(&bundle, &cache, None));
    assert!(
        error.contains("the list of prepared engines is damaged"),
        "{error}"
    );
}

#[test]
fn an_unprepared_bundle_says_what_to_run() {
    let (folder, cache) = folder();
    let path = folder.path().join("model.jet");
    let model = model();
    fs::write(&path, model.bytes(&model.manifest())).unwrap();
    let bundle = Arc::new(Bundle::open(&path).unwrap());
    let name = path.display();
    let error = locate(&bundle, &cache, None).unwrap_err();
    assert!(error.is_not_prepared());
    assert_eq!(
        error.to_string(),
        format!(
            "{name} is not prepared for trt8.5.2-sm90 (NVIDIA H200): 2 of its 2 segments have no \
             engine; run `tfjet-run prepare {name}`"
        )
    );
    let keys = prepare(&bundle, &cache, "fp16");
    let error = refusal(locate(&bundle, &cache, Some("fp32")));
    assert!(
        error.contains("(NVIDIA H200) in fp32: 2 of its 2 segments"),
        "{error}"
    );
    assert!(error.contains("(fp16 is prepared); run"), "{error}");
    assert!(error.ends_with("--precision fp32`"), "{error}");
    fs::remove_file(cache.path(&keys[1])).unwrap();
    let error = refusal(locate(&bundle, &cache, None));
    assert!(
        error.contains("1 of its 2 segments have no engine"),
        "{error}"
    );
}

#[test]
fn engines_come_from_the_bundle_and_else_from_the_cache() {
    let (_folder, cache) = folder();
    let bundle = model().bundle();
    prepare(&bundle, &cache, "fp16");
    let set = locate(&bundle, &cache, None).unwrap();
    assert_eq!(set.precision(), "fp16");
    assert_eq!(set.origin(), EngineOrigin::Cache(cache.dir().into()));
    assert_eq!(set.engine(1).unwrap().1, b"fp16");
    assert!(set.engine(2).is_none());
    let both = with_engines(&bundle, &[header(&bundle, 0, "fp16")]);
    let set = locate(&both, &cache, None).unwrap();
    assert_eq!(set.origin(), EngineOrigin::Both(cache.dir().into()));
    assert_eq!(set.engine(0).unwrap().1, b"in the bundle");
    assert_eq!(set.engine(1).unwrap().1, b"fp16");
    let headers = [0, 1].map(|segment| header(&bundle, segment, "fp16"));
    let whole = with_engines(&bundle, &headers);
    let set = EngineSet::locate(&whole, &machine(), Some("fp16"), None).unwrap();
    assert_eq!(set.origin(), EngineOrigin::Bundle);
    assert_eq!(set.headers().cloned().collect::<Vec<_>>(), headers);
}

#[test]
fn several_precisions_need_a_choice() {
    let (_folder, cache) = folder();
    let bundle = model().bundle();
    prepare(&bundle, &cache, "fp32");
    prepare(&bundle, &cache, "fp16");
    let error = refusal(locate(&bundle, &cache, None));
    assert!(
        error.ends_with("in fp32 and fp16: choose one with --precision"),
        "{error}"
    );
    assert_eq!(
        locate(&bundle, &cache, Some("fp32")).unwrap().precision(),
        "fp32"
    );
}

#[test]
fn engines_of_other_machines_are_refused_by_name() {
    let (_folder, cache) = folder();
    let bundle = model().bundle();
    for (library, capability, expected) in [
        (
            "trt10.3.0",
            Some((8, 7)),
            "holds engines for trt10.3.0-sm87-fp16 on Orin only, expected",
        ),
        (
            "trt8.5.2",
            Some((8, 7)),
            "for other GPUs only (trt8.5.2-sm87-fp16 on Orin), expected",
        ),
    ] {
        let headers = [0, 1].map(|segment| {
            let mut header = header(&bundle, segment, "fp16");
            header.library = library.into();
            header.compute_capability = capability;
            header.gpu = "Orin".into();
            header
        });
        let foreign = with_engines(&bundle, &headers);
        let error = locate(&foreign, &cache, None).unwrap_err();
        assert!(error.is_not_prepared());
        let error = error.to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("trt8.5.2-sm90 (NVIDIA H200)"), "{error}");
    }
}

#[test]
fn an_engine_of_another_network_is_refused() {
    let (_folder, cache) = folder();
    let bundle = model().bundle();
    let swapped = [1, 0].map(|segment| header(&bundle, segment, "fp16"));
    let foreign = with_engines(&bundle, &swapped);
    let error = refusal(locate(&foreign, &cache, None));
    let [found, expected] = swapped.map(|it| EngineKey(it.key).to_string());
    assert!(
        error.contains("segment 0 for trt8.5.2-sm90-fp16"),
        "{error}"
    );
    assert!(
        error.ends_with(&format!("its key is {found}, expected {expected}")),
        "{error}"
    );
}

#[test]
fn portable_engines_run_on_any_gpu_of_their_library() {
    let (_folder, cache) = folder();
    let bundle = model().bundle();
    let headers = [0, 1].map(|segment| {
        let mut header = header(&bundle, segment, "fp16");
        header.library = "rtx1.7.1".into();
        header.compute_capability = None;
        header.key = EngineKey::of(&NetworkHash::of(&bundle, segment).unwrap(), &header).0;
        header
    });
    let portable = with_engines(&bundle, &headers);
    let mut machine = machine();
    machine.library = "rtx1.7.1".into();
    for capability in [Some((9, 0)), Some((12, 0)), None] {
        machine.compute_capability = capability;
        let set = EngineSet::locate(&portable, &machine, None, Some(&cache)).unwrap();
        assert_eq!(set.origin(), EngineOrigin::Bundle);
    }
    machine.library = "rtx1.8.0".into();
    let error = refusal(EngineSet::locate(&portable, &machine, None, Some(&cache)));
    assert!(error.contains("rtx1.7.1-any-fp16"), "{error}");
}

#[test]
fn a_bundle_without_segments_needs_no_engine() {
    let (_folder, cache) = folder();
    let mut model = Model::default();
    let input = model.input(DType::F32, "2");
    model.output(input);
    let set = locate(&model.bundle(), &cache, None).unwrap();
    assert_eq!(set.origin(), EngineOrigin::Nowhere);
}

/// The bundle, said to compute in a precision.
fn said(bundle: &Arc<Bundle>, precision: Precision) -> Arc<Bundle> {
    let mut writer = BundleWriter::from_bundle(bundle).unwrap();
    for segment in [0, 1] {
        let target = &bundle.network_section(segment).unwrap().id.target;
        let floats = Quantization::floats(&bundle.network(segment).unwrap(), precision);
        writer
            .add_postcard(SectionKind::Quantization, target, segment, &floats)
            .unwrap();
    }
    Arc::new(Bundle::from_bytes(writer.to_bytes().unwrap()).unwrap())
}

#[test]
fn of_several_precisions_the_bundles_own_is_taken() {
    let (_folder, cache) = folder();
    let open = model().bundle();
    let halves = said(&open, Precision::Fp16);
    for (bundle, own) in [
        (&open, None),
        (&halves, Some(tfjet_tensorrt::Precision::Fp16)),
        (
            &said(&open, Precision::Fp32),
            Some(tfjet_tensorrt::Precision::Fp32),
        ),
    ] {
        assert_eq!(bundle_precision(bundle).unwrap(), own);
    }
    for bundle in [&open, &halves] {
        prepare(bundle, &cache, "fp32");
        assert_eq!(locate(bundle, &cache, None).unwrap().precision(), "fp32");
        prepare(bundle, &cache, "fp16");
        prepare(bundle, &cache, "int8");
    }
    let line = refusal(locate(&open, &cache, None));
    assert!(
        line.contains("prepared in fp32 and fp16 and int8"),
        "{line}"
    );
    assert_eq!(locate(&halves, &cache, None).unwrap().precision(), "fp16");
    for precision in ["fp32", "fp16", "int8"] {
        let located = locate(&halves, &cache, Some(precision)).unwrap();
        assert_eq!(located.precision(), precision);
    }
}
