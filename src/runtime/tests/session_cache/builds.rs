//! Builds in the background: their order, their ends, and what is remembered of them.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tfjet_runtime::{
    BuildFailure, OnMiss, PendingBuild, Session, SessionCache, SessionCacheOptions, SessionError,
    SessionMaker, ShapeKey,
};

use crate::maker::{Shop, key, keys};
use crate::warnings::warnings_of;

/// Builds run until a test says otherwise.
fn patient_shop() -> Shop {
    let shop = Shop::new();
    shop.state().looks = None;
    shop
}

#[test]
fn the_fallback_serves_while_a_build_runs() {
    let shop = patient_shop();
    let mut cache = shop.cache(4, OnMiss::Fallback);
    for _ in 0..3 {
        assert_eq!(shop.run(&mut cache, "2x2"), "fallback");
    }
    assert_eq!(shop.run(&mut cache, "1x2"), "fallback", "2x2 will serve it");
    assert_eq!(shop.run(&mut cache, "1x2"), "fallback");
    assert_eq!(shop.deeds(), ["load 2x2", "build 2x2", "load 1x2"]);
    let watch = cache.watch();
    let building = watch.building().unwrap();
    assert_eq!(building.shapes, key("2x2"));
    assert!(building.progress.unwrap().starts_with("look "));
    assert!(building.since.elapsed() >= Duration::from_millis(250));
    assert_eq!((cache.counters().pending, watch.waiting()), (1, 0));

    shop.state().looks = Some(0);
    assert_eq!(shop.run(&mut cache, "1x2"), "2x2");
    assert_eq!(shop.deeds(), ["end 2x2", "load 2x2"]);
    assert_eq!(watch.building(), None);
    let counters = cache.counters();
    assert_eq!((counters.hits, counters.misses), (1, 5));
    assert_eq!((counters.builds, counters.failed_builds), (1, 0));
    assert_eq!((counters.loads, counters.fallback_runs), (1, 5));
    assert_eq!((counters.entries, counters.pending), (1, 0));
    assert!((counters.build_seconds - 0.25).abs() < 1e-9);
}

#[test]
fn what_was_built_serves_while_a_larger_one_is_built() {
    let shop = patient_shop();
    shop.state().disk.insert(key("1x2"));
    let mut cache = shop.cache(1, OnMiss::Fallback);
    assert_eq!(shop.run(&mut cache, "8x2"), "fallback");
    assert_eq!(shop.run(&mut cache, "1x2"), "1x2");
    shop.state().looks = Some(0);
    assert_eq!(shop.run(&mut cache, "1x2"), "8x2");
}

#[test]
fn the_counters_go_into_json() {
    let shop = patient_shop();
    let mut cache = shop.cache(4, OnMiss::Fallback);
    shop.run(&mut cache, "2x2");
    let json = serde_json::to_value(cache.counters()).unwrap();
    let expected = serde_json::json!({
        "hits": 0, "misses": 1, "loads": 0, "evictions": 0, "builds": 0, "failed_builds": 0,
        "build_seconds": 0.0, "covered_runs": 0, "fallback_runs": 1, "entries": 0, "pending": 1,
    });
    assert_eq!(json, expected);
}

#[test]
fn a_build_that_ends_takes_the_place_of_what_was_unused_for_longest() {
    let shop = patient_shop();
    for prepared in ["1x1", "1x2"] {
        shop.state().disk.insert(key(prepared));
    }
    let mut cache = shop.cache(2, OnMiss::Fallback);
    for request in ["1x1", "1x2", "1x3", "1x1"] {
        shop.run(&mut cache, request);
    }
    assert_eq!(cache.keys(), keys(&["1x1", "1x2"]));
    shop.state().looks = Some(0);
    assert!(!cache.poll());
    assert_eq!(cache.keys(), keys(&["1x3", "1x1"]));
    assert_eq!(shop.state().sessions, 3, "two and the fallback");
    assert_eq!(cache.counters().evictions, 1);
    assert_eq!(shop.run(&mut cache, "1x1"), "1x1");
    assert_eq!(shop.run(&mut cache, "1x2"), "1x2", "it is loaded again");
    assert_eq!(cache.keys(), keys(&["1x2", "1x1"]));
}

#[test]
fn one_build_runs_and_the_latest_request_is_the_next() {
    let shop = patient_shop();
    let mut cache = shop.cache(9, OnMiss::Fallback);
    for request in ["1x1", "1x2", "1x3", "1x4", "1x2"] {
        shop.run(&mut cache, request);
    }
    assert_eq!(cache.counters().pending, 4);
    assert_eq!(cache.watch().waiting(), 3);
    shop.deeds();
    shop.state().looks = Some(0);
    cache.finish_builds();
    let deeds = shop.deeds();
    let builds: Vec<_> = deeds.iter().filter(|it| it.starts_with("build ")).collect();
    assert_eq!(builds, ["build 1x2", "build 1x4", "build 1x3"]);
    assert_eq!(shop.state().most_running, 1);
    assert_eq!(cache.counters().builds, 4);
}

#[test]
fn the_queue_is_bounded_and_forgets_what_was_asked_for_longest_ago() {
    let shop = patient_shop();
    let mut cache = shop.cache(1, OnMiss::Fallback);
    for width in 1..=100 {
        shop.run(&mut cache, &format!("1x{width}"));
    }
    assert_eq!(cache.counters().pending, 17, "one runs, 16 wait");
    shop.state().looks = Some(0);
    cache.finish_builds();
    let built: Vec<_> = (85..=100).map(|width| key(&format!("1x{width}"))).collect();
    let disk = shop.state().disk.clone();
    assert!(
        disk.iter().eq([key("1x1")].iter().chain(&built)),
        "{disk:?}"
    );
}

#[test]
fn a_larger_batch_that_waits_makes_smaller_ones_needless() {
    let shop = patient_shop();
    let mut cache = shop.cache(4, OnMiss::Fallback);
    for request in ["1x9", "2x2", "3x2", "8x2", "4x2", "9x9", "1x2"] {
        shop.run(&mut cache, request);
    }
    shop.deeds();
    shop.state().looks = Some(0);
    cache.finish_builds();
    let deeds = shop.deeds();
    let builds: Vec<_> = deeds.iter().filter(|it| it.starts_with("build ")).collect();
    assert_eq!(builds, ["build 8x2", "build 9x9"]);
}

#[test]
fn a_failed_build_is_left_alone_and_told_of_once() {
    let shop = Shop::new();
    let reason = "Killed: memory ran out";
    shop.state().failing.insert(key("2x2"), reason.into());
    for on_miss in [OnMiss::Fallback, OnMiss::Block] {
        shop.state().failures.clear();
        let mut cache = shop.cache(4, on_miss);
        let warnings = warnings_of(|| {
            for _ in 0..5 {
                assert_eq!(shop.run(&mut cache, "2x2"), "fallback");
            }
        });
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("2x2") && warnings[0].contains(reason));
        let deeds = ["load 2x2", "build 2x2", "end 2x2", "remember 2x2"];
        assert_eq!(shop.deeds(), deeds, "{on_miss:?}");
        assert_eq!(shop.state().failures[&key("2x2")].reason, reason);
        let refused: Vec<_> = cache.refused().collect();
        assert_eq!(refused, [(&key("2x2"), reason)]);
        let counters = cache.counters();
        assert_eq!((counters.builds, counters.failed_builds), (0, 1));
        assert_eq!(counters.fallback_runs, 5);
        let served_by = match on_miss {
            OnMiss::Block => "1x2",
            _ => "fallback",
        };
        assert_eq!(shop.run(&mut cache, "1x2"), served_by, "another key");
        let deeds = shop.deeds();
        assert_eq!(deeds[..2], ["load 1x2", "build 1x2"]);
        drop(cache);
        shop.state().disk.clear();
        shop.deeds();
    }
}

#[test]
fn a_failed_build_is_tried_again_after_its_time() {
    let shop = Shop::new();
    shop.state().failing.insert(key("2x2"), "no tactic".into());
    let retry = Duration::from_secs(1);
    let options = SessionCacheOptions {
        on_miss: OnMiss::Block,
        retry_failed_after: retry,
        ..SessionCacheOptions::default()
    };
    let mut cache = shop.cache_with(options, true);
    let begin = Instant::now();
    assert_eq!(shop.run(&mut cache, "2x2"), "fallback");
    shop.state().failing.clear();
    assert_eq!(cache.refused().count(), 1);
    while cache.refused().count() == 1 {
        assert_eq!(cache.counters().builds, 0);
        thread::sleep(Duration::from_millis(5));
    }
    assert!(begin.elapsed() >= retry);
    assert_eq!(shop.run(&mut cache, "2x2"), "2x2");
    assert_eq!(cache.counters().failed_builds, 1);
}

#[test]
fn without_a_time_a_failed_build_is_tried_once_for_each_request() {
    for (on_miss, has_fallback) in [
        (OnMiss::Block, true),
        (OnMiss::Block, false),
        (OnMiss::Fallback, false),
    ] {
        for begins in [true, false] {
            let shop = Shop::new();
            let reason = "2x2 is beyond this maker";
            match begins {
                true => _ = shop.state().failing.insert(key("2x2"), reason.into()),
                false => shop.state().only = Some([].into()),
            }
            let options = SessionCacheOptions {
                on_miss,
                retry_failed_after: Duration::ZERO,
                ..SessionCacheOptions::default()
            };
            let mut cache = shop.cache_with(options, has_fallback);
            for run in 1..=3 {
                let served = shop.try_run(&mut cache, "2x2");
                let expected = match has_fallback {
                    true => Ok("fallback".to_owned()),
                    false => Err(format!("no engine for inputs of 2x2: {reason}")),
                };
                assert_eq!(served.map_err(|error| error.to_string()), expected);
                assert_eq!(cache.counters().failed_builds, run);
            }
        }
    }
}

#[test]
fn what_another_process_built_meanwhile_is_held_once() {
    let shop = patient_shop();
    let mut cache = shop.cache(4, OnMiss::Fallback);
    shop.state().failing.insert(key("1x1"), "no tactic".into());
    for request in ["1x1", "1x3", "2x2"] {
        assert_eq!(shop.run(&mut cache, request), "fallback");
    }
    // The build of 1x1 ends, that of 2x2 begins, and 1x3 waits.
    shop.state().looks = Some(0);
    assert!(cache.poll());
    shop.state().looks = None;
    assert!(cache.poll());
    for built in ["1x3", "2x2"] {
        shop.state().disk.insert(key(built));
        assert_eq!(shop.run(&mut cache, built), built);
    }
    assert_eq!(cache.counters().pending, 1, "nothing waits any more");
    shop.state().looks = Some(0);
    cache.finish_builds();
    assert_eq!(cache.keys(), keys(&["2x2", "1x3"]));
    assert_eq!(shop.run(&mut cache, "2x2"), "2x2");
}

#[test]
fn failures_outlive_the_process_until_they_expire() {
    let hour = Duration::from_secs(3600);
    for (ago, is_remembered) in [(hour / 2, true), (hour * 2, false)] {
        let shop = Shop::new();
        let failure = BuildFailure {
            reason: "no tactic".into(),
            at: SystemTime::now() - ago,
        };
        shop.state().failures.insert(key("2x2"), failure);
        let mut cache = shop.cache(4, OnMiss::Block);
        let warnings = warnings_of(|| {
            for _ in 0..3 {
                shop.run(&mut cache, "2x2");
            }
        });
        assert_eq!(warnings.len(), usize::from(is_remembered));
        let builds = u64::from(!is_remembered);
        assert_eq!(cache.counters().builds, builds);
        assert_eq!(cache.counters().failed_builds, 0, "it was another's");
    }
}

#[test]
fn a_failure_of_before_the_clock_was_set_is_over() {
    let second = Duration::from_secs(1);
    let now = SystemTime::now();
    for (at, remains) in [
        (now, true),
        (now - 50 * second, true),
        (now - 70 * second, false),
        (now + 50 * second, false),
        (SystemTime::UNIX_EPOCH, false),
    ] {
        let reason = String::new();
        let failure = BuildFailure { reason, at };
        let remaining = failure.remaining(60 * second);
        assert_eq!(remaining.is_some(), remains, "{at:?}");
        assert!(remaining.is_none_or(|left| left <= 60 * second));
        assert_eq!(failure.remaining(Duration::ZERO), None);
    }
}

#[test]
fn a_run_that_blocks_waits_and_can_be_seen_waiting() {
    let shop = patient_shop();
    let mut cache = shop.cache(4, OnMiss::Block);
    let watch = cache.watch();
    thread::scope(|scope| {
        let served = scope.spawn(|| shop.run(&mut cache, "2x2"));
        let building = loop {
            match watch.building() {
                Some(building) => break building,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!(building.shapes, key("2x2"));
        assert!(!served.is_finished());
        shop.state().looks = Some(0);
        assert_eq!(served.join().unwrap(), "2x2");
    });
    assert_eq!(watch.building(), None);
    assert_eq!(cache.counters().fallback_runs, 0);
}

#[test]
fn a_run_that_waits_goes_on_when_builds_are_stopped() {
    for has_fallback in [true, false] {
        let shop = patient_shop();
        let options = SessionCacheOptions {
            on_miss: OnMiss::Block,
            ..SessionCacheOptions::default()
        };
        let mut cache = shop.cache_with(options, has_fallback);
        let watch = cache.watch();
        thread::scope(|scope| {
            let served = scope.spawn(|| shop.try_run(&mut cache, "2x2"));
            while watch.building().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            watch.stop();
            let served = served.join().unwrap();
            let expected = match has_fallback {
                true => Ok("fallback".to_owned()),
                false => Err("no engine for inputs of 2x2: builds were stopped".to_owned()),
            };
            assert_eq!(served.map_err(|it| it.to_string()), expected);
        });
        assert_eq!(shop.state().running, 0, "the process was ended");
        assert!(shop.try_run(&mut cache, "1x7").is_ok() == has_fallback);
        assert!(!shop.deeds().contains(&"build 1x7".to_owned()));
    }
}

#[test]
fn dropping_the_cache_ends_its_builds() {
    let shop = patient_shop();
    let mut cache = shop.cache(4, OnMiss::Fallback);
    shop.run(&mut cache, "2x2");
    shop.run(&mut cache, "3x3");
    assert_eq!(shop.state().running, 1);
    shop.deeds();
    drop(cache);
    assert_eq!(shop.state().running, 0);
    assert_eq!(shop.state().sessions, 0);
    assert_eq!(shop.deeds(), ["end 2x2"]);
}

#[test]
fn a_build_that_leaves_nothing_is_a_failure() {
    /// Ends well at the third look.
    struct Hollow(u32);
    impl PendingBuild for Hollow {
        fn poll(&mut self) -> Option<Result<(), String>> {
            self.0 += 1;
            (self.0 > 2).then_some(Ok(()))
        }
        fn elapsed(&self) -> Duration {
            Duration::MAX
        }
    }
    assert_eq!(Hollow(0).wait(), Ok(()));
    struct Forgetful;
    impl SessionMaker for Forgetful {
        fn load(&mut self, _: &ShapeKey) -> Result<Option<Session>, SessionError> {
            Ok(None)
        }
        fn build(&mut self, _: &ShapeKey) -> Result<Box<dyn PendingBuild>, String> {
            Ok(Box::new(Hollow(0)))
        }
    }
    let shop = Shop::new();
    let fallback = shop.fallback();
    let manifest = fallback.manifest().clone();
    let options = SessionCacheOptions {
        on_miss: OnMiss::Block,
        ..SessionCacheOptions::default()
    };
    let maker = Box::new(Forgetful);
    let mut cache = SessionCache::new(manifest, maker, Some(fallback), options);
    assert_eq!(shop.run(&mut cache, "2x2"), "fallback");
    let reasons: Vec<_> = cache.refused().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["the build ended well and left nothing to load"]);
}
