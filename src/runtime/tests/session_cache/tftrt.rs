//! The tests of TF-TRT's engine cache: `LRUCacheTest` and `TRTEngineOpTestBase`.

use half::f16;
use tfjet_core::{DType, Tensor};
use tfjet_cpu::Library;
use tfjet_runtime::{OnMiss, SessionCacheOptions};

use crate::maker::{Shop, bundle, key, keys};

/// Runs `test` on sessions of closures, and on ONNX Runtime where `TFJET_ONNXRUNTIME` names it.
fn on_all_engines(test: impl Fn(Option<Library>)) {
    test(None);
    match std::env::var_os("TFJET_ONNXRUNTIME") {
        Some(path) => test(Some(Library::load(Some(path.as_ref()), &[]).unwrap())),
        None => eprintln!(
            "skipped on ONNX Runtime: TFJET_ONNXRUNTIME names no library; passed on closures"
        ),
    }
}

/// Requests of one cache: shapes, the session that serves them, and the sessions held afterwards,
/// the one that was used last first.
type Table<'a> = &'a [(&'a str, &'a str, &'a [&'a str])];

fn check(shop: &Shop, capacity: usize, on_miss: OnMiss, table: Table<'_>) {
    let mut cache = shop.cache(capacity, on_miss);
    for (row, (request, served_by, held)) in table.iter().enumerate() {
        let served = shop.run(&mut cache, request);
        assert_eq!(served, *served_by, "row {row}: {request}");
        assert_eq!(cache.keys(), keys(held), "row {row}: {request}");
        let fallback = 1;
        assert_eq!(shop.state().sessions, held.len() + fallback, "row {row}");
    }
    drop(cache);
    assert_eq!(shop.state().sessions, 0);
}

#[test]
fn lru_cache_basic() {
    on_all_engines(|library| {
        let shop = Shop::of(bundle(DType::F32, "n,m"), library);
        check(
            &shop,
            2,
            OnMiss::Block,
            &[
                ("1x10", "1x10", &["1x10"]),
                ("1x20", "1x20", &["1x20", "1x10"]),
                ("1x10", "1x10", &["1x10", "1x20"]),
                ("1x20", "1x20", &["1x20", "1x10"]),
                ("1x30", "1x30", &["1x30", "1x20"]),
                ("1x20", "1x20", &["1x20", "1x30"]),
                ("1x40", "1x40", &["1x40", "1x20"]),
                ("1x20", "1x20", &["1x20", "1x40"]),
                ("1x40", "1x40", &["1x40", "1x20"]),
            ],
        );
        let deeds = shop.deeds();
        let builds = deeds.iter().filter(|it| it.starts_with("build "));
        assert_eq!(builds.count(), 4, "{deeds:?}");
    });
}

#[test]
fn dynamic_engines() {
    on_all_engines(|library| {
        let shop = Shop::of(bundle(DType::F32, "n,m"), library);
        check(
            &shop,
            4,
            OnMiss::Block,
            &[
                ("2x2", "2x2", &["2x2"]),
                ("1x2", "2x2", &["2x2"]),
                ("3x2", "3x2", &["3x2", "2x2"]),
                ("10x10", "10x10", &["10x10", "3x2", "2x2"]),
                ("1x10", "10x10", &["10x10", "3x2", "2x2"]),
                // Beyond TF-TRT's test: the smallest that fits, not the latest.
                ("3x2", "3x2", &["3x2", "10x10", "2x2"]),
                ("1x2", "2x2", &["2x2", "3x2", "10x10"]),
                ("4x3", "4x3", &["4x3", "2x2", "3x2", "10x10"]),
                ("1x1", "1x1", &["1x1", "4x3", "2x2", "3x2"]),
            ],
        );
    });
}

#[test]
fn allow_build_at_runtime_false() {
    on_all_engines(|library| {
        let shop = Shop::of(bundle(DType::F32, "n,m"), library);
        let mut cache = shop.cache(4, OnMiss::NeverBuild);
        for _ in 0..3 {
            assert_eq!(shop.run(&mut cache, "2x2"), "fallback");
        }
        assert_eq!(shop.deeds(), ["load 2x2"], "looked for once, never built");
        assert_eq!(cache.keys(), []);
        let refused: Vec<_> = cache.refused().collect();
        let reason = "they were not prepared, and nothing is to be built";
        assert_eq!(refused, [(&key("2x2"), reason)]);
        let counters = cache.counters();
        assert_eq!((counters.misses, counters.fallback_runs), (3, 3));
        assert_eq!((counters.builds, counters.failed_builds), (0, 0));
        assert_eq!((counters.entries, counters.pending), (0, 0));

        shop.state().disk.insert(key("4x7"));
        assert_eq!(shop.run(&mut cache, "4x7"), "4x7", "it is prepared");
        assert_eq!(shop.run(&mut cache, "2x7"), "4x7");
    });
}

#[test]
fn explicit_batch() {
    on_all_engines(|library| {
        for is_static in [true, false] {
            let shop = Shop::of(bundle(DType::F32, "1,2"), library.clone());
            if is_static {
                shop.state().disk.insert(key("1x2"));
            }
            let mut cache = shop.cache(1, OnMiss::Block);
            assert_eq!(shop.run(&mut cache, "1x2"), "1x2");
            assert_eq!(cache.keys(), keys(&["1x2"]));
            let counters = cache.counters();
            assert_eq!(counters.builds, u64::from(!is_static));
            assert_eq!((counters.loads, counters.fallback_runs), (1, 0));
            let error = shop.try_run(&mut cache, "1x3").unwrap_err().to_string();
            let expected = "input `v0`: expected float32 [1,2], given float32 [1,3]";
            assert_eq!(error, expected);
            assert_eq!(cache.counters().misses, 1, "a refused input is no miss");
        }
    });
}

#[test]
fn dynamic_shapes() {
    on_all_engines(|library| {
        let shop = Shop::of(bundle(DType::F32, "n,m"), library);
        shop.state().only = Some([key("1x2")].into());
        check(
            &shop,
            1,
            OnMiss::Block,
            &[
                ("1x2", "1x2", &["1x2"]),
                ("1x37", "fallback", &["1x2"]),
                ("1x37", "fallback", &["1x2"]),
                ("1x2", "1x2", &["1x2"]),
            ],
        );
        let deeds = shop.deeds();
        let tried = deeds.iter().filter(|it| *it == "build 1x37").count();
        assert_eq!(tried, 1, "{deeds:?}");
    });
}

#[test]
fn basic() {
    on_all_engines(|library| {
        let f32s = Tensor::from_slice(&[2, 1], &[0.0f32, 1.0]).unwrap();
        let halves = [f16::from_f32(0.0), f16::from_f32(1.0)];
        let f16s = Tensor::from_slice(&[2, 1], &halves).unwrap();
        for (input, doubled) in [(f32s, [0.0, 2.0]), (f16s, [0.0, 2.0])] {
            let dtype = input.dtype();
            let shop = Shop::of(bundle(dtype, "n,m"), library.clone());
            for (on_miss, served_by) in [
                (OnMiss::Block, "run 2x1"),
                (OnMiss::Fallback, "run fallback"),
                (OnMiss::NeverBuild, "run fallback"),
            ] {
                shop.state().disk.clear();
                let options = SessionCacheOptions {
                    on_miss,
                    ..SessionCacheOptions::default()
                };
                let mut cache = shop.cache_with(options, true);
                let outputs = cache.run(&[input.view()]).unwrap();
                let output = outputs.get(0).unwrap();
                let values: Vec<f32> = match dtype {
                    DType::F16 => {
                        let values = output.as_slice::<f16>().unwrap();
                        values.iter().map(|x| x.to_f32()).collect()
                    }
                    _ => output.as_slice().unwrap().to_vec(),
                };
                assert_eq!(values, doubled, "{dtype} {on_miss:?}");
                assert_eq!(shop.state().log.last().unwrap(), served_by);
            }
        }
    });
}
