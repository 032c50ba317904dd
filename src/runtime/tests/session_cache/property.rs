//! Random requests against a model of the cache that was written apart from it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tfjet_runtime::{OnMiss, SessionCacheOptions};

use crate::maker::{Shop, key};

/// Batch and width.
type Request = (usize, usize);

fn text((batch, width): Request) -> String {
    format!("{batch}x{width}")
}

/// What a cache of the least recently used does whose builds end at once.
#[derive(Default)]
struct Lru {
    /// The one that was used last at the end.
    held: Vec<Request>,
    disk: BTreeSet<Request>,
    failed: BTreeSet<Request>,
    hits: u64,
    evictions: u64,
    builds: u64,
}

impl Lru {
    /// Which session serves; `None` for the fallback.
    fn run(
        &mut self,
        request: Request,
        capacity: usize,
        builds: bool,
        fails: &BTreeSet<Request>,
    ) -> Option<Request> {
        let fitting = self.held.iter().copied();
        let fitting = fitting.filter(|held| held.1 == request.1 && held.0 >= request.0);
        if let Some(found) = fitting.reduce(|a, b| if a.0 < b.0 { a } else { b }) {
            self.hits += 1;
            self.held.retain(|held| *held != found);
            self.held.push(found);
            return Some(found);
        }
        if !self.disk.contains(&request) {
            if !builds || self.failed.contains(&request) {
                return None;
            }
            if fails.contains(&request) {
                self.failed.insert(request);
                return None;
            }
            self.builds += 1;
            self.disk.insert(request);
        }
        if self.held.len() == capacity {
            self.held.remove(0);
            self.evictions += 1;
        }
        self.held.push(request);
        Some(request)
    }
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    prop::collection::vec((1..5usize, 1..4usize), 0..80)
}

fn some_requests() -> impl Strategy<Value = BTreeSet<Request>> {
    prop::collection::btree_set((1..5usize, 1..4usize), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn builds_that_end_at_once_make_an_lru_cache(
        requests in requests(),
        fails in some_requests(),
        prepared in some_requests(),
        capacity in 1..5usize,
        blocks in any::<bool>(),
    ) {
        let shop = Shop::new();
        for failing in &fails {
            shop.state().failing.insert(key(&text(*failing)), "it fails".into());
        }
        let mut model = Lru { disk: prepared.clone(), ..Lru::default() };
        shop.state().disk = prepared.iter().map(|it| key(&text(*it))).collect();
        let on_miss = if blocks { OnMiss::Block } else { OnMiss::NeverBuild };
        let mut cache = shop.cache(capacity, on_miss);
        let mut by_fallback = 0;
        for request in &requests {
            let expected = model.run(*request, capacity, blocks, &fails);
            by_fallback += u64::from(expected.is_none());
            let expected = expected.map_or("fallback".into(), text);
            prop_assert_eq!(shop.run(&mut cache, &text(*request)), expected);
            let held: Vec<_> = model.held.iter().rev().map(|it| key(&text(*it))).collect();
            prop_assert_eq!(cache.keys(), held);
            prop_assert_eq!(shop.state().sessions, model.held.len() + 1);
        }
        let counters = cache.counters();
        prop_assert_eq!(counters.hits, model.hits);
        prop_assert_eq!(counters.hits + counters.misses, requests.len() as u64);
        prop_assert_eq!(counters.evictions, model.evictions);
        prop_assert_eq!(counters.builds, model.builds);
        prop_assert_eq!(counters.failed_builds, model.failed.len() as u64);
        prop_assert_eq!(counters.fallback_runs, by_fallback);
        prop_assert_eq!(counters.pending, 0);
    }

    #[test]
    fn builds_in_the_background_keep_the_bounds(
        requests in requests(),
        fails in some_requests(),
        capacity in 1..5usize,
        looks in 0..6u32,
        lists_built in any::<bool>(),
    ) {
        let shop = Shop::new();
        for failing in &fails {
            shop.state().failing.insert(key(&text(*failing)), "it fails".into());
        }
        shop.state().looks = Some(looks);
        shop.state().lists_built = lists_built;
        let options = SessionCacheOptions {
            capacity,
            on_miss: OnMiss::Fallback,
            ..SessionCacheOptions::default()
        };
        let mut cache = shop.cache_with(options, true);
        for (run, request) in requests.iter().enumerate() {
            let served_by = shop.run(&mut cache, &text(*request));
            let serves = cache.keys().iter().any(|it| it.serves(&key(&text(*request))));
            prop_assert_eq!(serves, served_by != "fallback");
            prop_assert!(cache.keys().len() <= capacity);
            prop_assert_eq!(shop.state().sessions, cache.keys().len() + 1);
            prop_assert!(shop.state().most_running <= 1);
            let counters = cache.counters();
            prop_assert_eq!(counters.hits + counters.misses, run as u64 + 1);
            prop_assert!(counters.pending <= 17);
        }
        cache.finish_builds();
        let counters = cache.counters();
        prop_assert_eq!((counters.pending, shop.state().running), (0, 0));
        prop_assert_eq!(counters.builds, shop.state().disk.len() as u64);
        // None failed twice.
        let failures = shop.state().failures.len();
        prop_assert_eq!(counters.failed_builds, failures as u64);
        prop_assert!(failures <= fails.len());
        // All that can be built is at hand, whatever order it came in.
        for request in &requests {
            let served_by = shop.run(&mut cache, &text(*request));
            if served_by == "fallback" {
                let wanted = key(&text(*request));
                let state = shop.state();
                prop_assert!(state.failures.contains_key(&wanted) || !state.disk.contains(&wanted));
            }
        }
    }
}
