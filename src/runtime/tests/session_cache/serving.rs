//! Which session serves a request.

use tfjet_core::{DType, Tensor};
use tfjet_runtime::{Model, OnMiss, SessionCache, SessionCacheOptions};

use crate::maker::{Shop, bundle, key, keys};
use crate::warnings::warnings_of;

#[test]
fn inputs_that_do_not_fit_get_the_errors_of_a_session() {
    let shop = Shop::of(bundle(DType::F32, "n,2"), None);
    let mut cache = shop.cache(4, OnMiss::Block);
    let mut session = shop.fallback();
    let f32s = |shape: &[usize]| Tensor::zeros(DType::F32, shape).unwrap();
    for inputs in [
        vec![],
        vec![f32s(&[1, 2]), f32s(&[1, 2])],
        vec![f32s(&[2])],
        vec![f32s(&[1, 2, 1])],
        vec![f32s(&[1, 3])],
        vec![f32s(&[])],
        vec![Tensor::zeros(DType::I32, &[1, 2]).unwrap()],
    ] {
        let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
        let expected = session.run(&views).unwrap_err().to_string();
        assert_eq!(cache.run(&views).unwrap_err().to_string(), expected);
    }
    assert_eq!(cache.counters(), shop.cache(4, OnMiss::Block).counters());
    assert_eq!(shop.deeds(), Vec::<String>::new());
    assert_eq!(shop.run(&mut cache, "1x2"), "1x2", "it goes on");
}

#[test]
fn inputs_without_elements_are_never_built_for() {
    let shop = Shop::new();
    for on_miss in [OnMiss::Block, OnMiss::Fallback, OnMiss::NeverBuild] {
        let mut cache = shop.cache(4, on_miss);
        for request in ["0x2", "2x0", "0x0"] {
            assert_eq!(shop.run(&mut cache, request), "fallback");
        }
        assert_eq!(shop.deeds(), Vec::<String>::new());
        assert_eq!(cache.refused().count(), 0);
    }
    shop.run(&mut shop.cache(4, OnMiss::Block), "2x2");
    let mut cache = shop.cache(4, OnMiss::Block);
    shop.run(&mut cache, "2x2");
    assert_eq!(shop.run(&mut cache, "0x2"), "fallback", "2x2 begins at 1");
}

#[test]
fn without_a_fallback_a_miss_waits_or_is_an_error() {
    let shop = Shop::new();
    for (on_miss, expected) in [
        (OnMiss::Block, Ok("2x2")),
        (OnMiss::Fallback, Ok("2x2")),
        (
            OnMiss::NeverBuild,
            Err("no engine for inputs of 2x2: they were not prepared, and nothing is to be built"),
        ),
    ] {
        shop.state().disk.clear();
        let options = SessionCacheOptions {
            on_miss,
            ..SessionCacheOptions::default()
        };
        let mut cache = shop.cache_with(options, false);
        for _ in 0..2 {
            let served = shop.try_run(&mut cache, "2x2");
            let served = served.map_err(|error| error.to_string());
            assert_eq!(
                served.as_deref(),
                expected.as_deref().map_err(|it| it.to_string()).as_deref()
            );
        }
        let error = shop.try_run(&mut cache, "0x2").unwrap_err().to_string();
        let expected =
            "no engine for inputs of 0x2: no engine is built for inputs without elements";
        assert_eq!(error, expected);
    }
}

#[test]
fn the_engines_of_an_earlier_process_serve_smaller_batches_too() {
    let shop = Shop::new();
    for built in ["8x2", "4x2", "4x3"] {
        shop.state().disk.insert(key(built));
    }
    shop.state().lists_built = true;
    let mut cache = shop.cache(2, OnMiss::Block);
    for (request, served_by) in [
        ("3x2", "4x2"),
        ("5x2", "8x2"),
        ("1x3", "4x3"),
        ("3x2", "8x2"),
        ("9x2", "9x2"),
    ] {
        assert_eq!(shop.run(&mut cache, request), served_by);
    }
    assert_eq!(cache.keys(), keys(&["9x2", "8x2"]));
    let counters = cache.counters();
    assert_eq!((counters.loads, counters.builds), (4, 1));
    assert_eq!(counters.evictions, 2);

    shop.state().unloadable.insert(key("4x3"));
    assert_eq!(shop.run(&mut cache, "2x3"), "2x3", "it gets its own");
}

#[test]
fn a_prepared_range_stands_in_before_the_fallback_does() {
    for (on_miss, own_engine) in [
        (OnMiss::Fallback, true),
        (OnMiss::Block, false),
        (OnMiss::NeverBuild, false),
    ] {
        let shop = Shop::new();
        shop.state().looks = None;
        shop.state().range = Some(10..=20);
        let mut cache = shop.cache(4, on_miss);
        for request in ["1x10", "9x20", "1x10"] {
            assert_eq!(shop.run(&mut cache, request), "range");
        }
        let deeds = shop.deeds();
        assert_eq!(deeds.iter().filter(|it| *it == "load range").count(), 1);
        assert_eq!(deeds.contains(&"build 1x10".to_owned()), own_engine);
        assert_eq!(cache.keys(), []);
        let counters = cache.counters();
        assert_eq!((counters.covered_runs, counters.fallback_runs), (3, 0));
        shop.state().looks = Some(0);
        cache.finish_builds();
        let served_by = if own_engine { "1x10" } else { "range" };
        assert_eq!(shop.run(&mut cache, "1x10"), served_by);
        let served_by = match on_miss {
            OnMiss::Block => "1x9",
            _ => "fallback",
        };
        assert_eq!(shop.run(&mut cache, "1x9"), served_by);
        assert_eq!(shop.state().sessions, 2 + cache.keys().len());
    }
}

#[test]
fn a_range_that_does_not_work_is_given_up() {
    for is_loaded in [true, false] {
        let shop = Shop::new();
        shop.state().range = Some(10..=20);
        shop.state().broken.insert("range".into());
        if !is_loaded {
            shop.state().unloadable.insert(key("1x10"));
        }
        let mut cache = shop.cache(4, OnMiss::NeverBuild);
        let warnings = warnings_of(|| {
            for _ in 0..5 {
                assert_eq!(shop.run(&mut cache, "1x12"), "fallback");
            }
        });
        assert_eq!(warnings.len(), if is_loaded { 2 } else { 1 });
        shop.state().broken.clear();
        assert_eq!(shop.run(&mut cache, "1x12"), "fallback");
        assert_eq!(shop.deeds(), ["load 1x12", "load range"]);
        assert_eq!(shop.state().sessions, 1);
    }
}

#[test]
fn what_cannot_be_loaded_is_left_alone() {
    let shop = Shop::new();
    shop.state().disk.insert(key("2x2"));
    shop.state().unloadable.insert(key("2x2"));
    let mut cache = shop.cache(4, OnMiss::Fallback);
    let warnings = warnings_of(|| {
        for _ in 0..3 {
            assert_eq!(shop.run(&mut cache, "2x2"), "fallback");
        }
    });
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("it is in pieces"), "{warnings:?}");
    assert_eq!(shop.deeds(), ["load 2x2"]);
    assert_eq!(cache.counters().failed_builds, 0);
}

#[test]
fn the_fallback_serves_what_a_session_fails_at() {
    let shop = Shop::new();
    let mut cache = shop.cache(4, OnMiss::Block);
    assert_eq!(shop.run(&mut cache, "2x2"), "2x2");
    shop.state().broken.insert("2x2".into());
    for _ in 0..2 {
        assert_eq!(shop.run(&mut cache, "2x2"), "fallback");
    }
    shop.state().broken.clear();
    assert_eq!(shop.run(&mut cache, "2x2"), "2x2", "it may recover");
    shop.state().broken.insert("2x2".into());
    let warnings = warnings_of(|| {
        for _ in 0..5 {
            assert_eq!(shop.run(&mut cache, "2x2"), "fallback");
        }
    });
    assert_eq!(
        warnings.len(),
        2,
        "the first failure and the end: {warnings:?}"
    );
    assert_eq!(cache.keys(), [], "three failures in a row are enough");
    assert_eq!(shop.state().sessions, 1);
    let reason = cache.refused().next().unwrap().1.to_owned();
    assert!(reason.contains("3 runs in a row failed: "), "{reason}");
}

#[test]
fn a_session_that_fails_without_a_fallback_is_an_error_and_stays() {
    let shop = Shop::new();
    let options = SessionCacheOptions::default();
    let mut cache = shop.cache_with(options, false);
    assert_eq!(shop.run(&mut cache, "2x2"), "2x2");
    shop.state().broken.insert("2x2".into());
    for _ in 0..5 {
        let error = shop.try_run(&mut cache, "2x2").unwrap_err().to_string();
        assert_eq!(error, "step 0, segment 0 on a doubler: 2x2 is broken");
    }
    shop.state().broken.clear();
    assert_eq!(shop.run(&mut cache, "2x2"), "2x2");
}

#[test]
fn a_capacity_of_nothing_is_one() {
    let shop = Shop::new();
    let mut cache = shop.cache(0, OnMiss::Block);
    for request in ["1x1", "1x2", "1x1"] {
        assert_eq!(shop.run(&mut cache, request), request);
        assert_eq!(cache.keys(), keys(&[request]));
    }
}

#[test]
fn a_model_is_one_session_or_a_cache_of_them() {
    let shop = Shop::new();
    let input = Tensor::zeros(DType::F32, &[2, 2]).unwrap();
    let mut fixed = Model::from(shop.fallback());
    assert_eq!(fixed.run(&[input.view()]).unwrap().len(), 1);
    assert_eq!((fixed.counters(), fixed.building()), (None, false));
    assert!(fixed.session().is_some() && fixed.session_mut().is_some());
    assert_eq!(fixed.buffer_bytes(), 16);

    shop.state().looks = None;
    let mut by_shape = Model::from(shop.cache(4, OnMiss::Fallback));
    assert_eq!(by_shape.manifest(), fixed.manifest());
    assert_eq!(
        by_shape.session().unwrap().buffer_bytes(),
        0,
        "the fallback"
    );
    assert_eq!(by_shape.run(&[input.view()]).unwrap().len(), 1);
    assert!(by_shape.building());
    shop.state().looks = Some(0);
    assert!(!by_shape.building());
    assert_eq!(
        by_shape.session().unwrap().buffer_bytes(),
        16,
        "still the fallback"
    );
    assert_eq!(by_shape.run(&[input.view()]).unwrap().len(), 1);
    assert_eq!(by_shape.buffer_bytes(), 32);
    assert_eq!(by_shape.counters().unwrap().hits, 1);
    assert_eq!(by_shape.device_bytes(), 0);
    assert_eq!(by_shape.input_tensor(0), Tensor::default());
    assert!(format!("{by_shape:?}").contains("hits: 1"));

    let options = SessionCacheOptions::default();
    let mut empty = Model::from(shop.cache_with(options, false));
    assert!(empty.session().is_none() && empty.session_mut().is_none());
    assert_eq!(empty.input_tensor(7), Tensor::default());
}

#[test]
fn a_cache_can_move_to_another_thread() {
    fn check<T: Send>() {}
    check::<SessionCache>();
    check::<Model>();
}
