//! A binary heap and an unstable sort whose order of equal elements is that of the C++ standard
//! library (libstdc++) in TensorFlow's releases, on which the result of an op depends.
//!
//! `less(a, b)` orders the elements; the heap's greatest is on top. It must be a strict weak order.

/// The part that the sort leaves to insertion.
const SHORT: usize = 16;

/// Puts `value` at `hole` or above.
fn rise<T: Copy>(heap: &mut [T], mut hole: usize, value: T, less: impl Fn(T, T) -> bool) {
    while hole > 0 {
        let parent = (hole - 1) / 2;
        if !less(heap[parent], value) {
            break;
        }
        heap[hole] = heap[parent];
        hole = parent;
    }
    heap[hole] = value;
}

/// Puts `value` into the subtree of `root`, whose own element goes: the greater children move up
/// all the way, of equal ones the right one, then the value rises, but not above `root`.
fn sink<T: Copy>(heap: &mut [T], root: usize, value: T, less: impl Fn(T, T) -> bool) {
    let mut hole = root;
    loop {
        let right = 2 * hole + 2;
        if right > heap.len() {
            break;
        }
        let child = if right == heap.len() || less(heap[right], heap[right - 1]) {
            right - 1
        } else {
            right
        };
        heap[hole] = heap[child];
        hole = child;
    }
    while hole > root {
        let parent = (hole - 1) / 2;
        if !less(heap[parent], value) {
            break;
        }
        heap[hole] = heap[parent];
        hole = parent;
    }
    heap[hole] = value;
}

/// Adds to a heap.
pub(crate) fn push<T: Copy>(heap: &mut Vec<T>, value: T, less: impl Fn(T, T) -> bool) {
    heap.push(value);
    let hole = heap.len() - 1;
    rise(heap, hole, value, less);
}

/// Takes the greatest from a heap.
pub(crate) fn pop<T: Copy>(heap: &mut Vec<T>, less: impl Fn(T, T) -> bool) -> Option<T> {
    let last = heap.pop()?;
    let Some(&greatest) = heap.first() else {
        return Some(last);
    };
    sink(heap, 0, last, less);
    Some(greatest)
}

/// Sorts from the least to the greatest.
pub(crate) fn sort<T: Copy>(items: &mut [T], less: impl Fn(T, T) -> bool + Copy) {
    if let Some(log) = items.len().checked_ilog2() {
        partition(items, 2 * log, less);
        insert(items, less);
    }
}

/// Splits until every part is short, or sorts a part by heap where `splits` run out.
fn partition<T: Copy>(mut items: &mut [T], mut splits: u32, less: impl Fn(T, T) -> bool + Copy) {
    while items.len() > SHORT {
        if splits == 0 {
            sort_by_heap(items, less);
            return;
        }
        splits -= 1;
        let middle = median(items, [1, items.len() / 2, items.len() - 1], less);
        items.swap(0, middle);
        let pivot = items[0];
        let (mut low, mut high) = (1, items.len());
        let cut = loop {
            while less(items[low], pivot) {
                low += 1;
            }
            high -= 1;
            while less(pivot, items[high]) {
                high -= 1;
            }
            if low >= high {
                break low;
            }
            items.swap(low, high);
            low += 1;
        };
        let (left, right) = items.split_at_mut(cut);
        partition(right, splits, less);
        items = left;
    }
}

/// Which of three places holds the median.
fn median<T: Copy>(items: &[T], [a, b, c]: [usize; 3], less: impl Fn(T, T) -> bool) -> usize {
    let less = |i: usize, j: usize| less(items[i], items[j]);
    if less(a, b) {
        if less(b, c) {
            b
        } else if less(a, c) {
            c
        } else {
            a
        }
    } else if less(a, c) {
        a
    } else if less(b, c) {
        c
    } else {
        b
    }
}

fn sort_by_heap<T: Copy>(items: &mut [T], less: impl Fn(T, T) -> bool + Copy) {
    for root in (0..items.len() / 2).rev() {
        let value = items[root];
        sink(items, root, value, less);
    }
    for end in (1..items.len()).rev() {
        let last = items[end];
        items[end] = items[0];
        sink(&mut items[..end], 0, last, less);
    }
}

fn insert<T: Copy>(items: &mut [T], less: impl Fn(T, T) -> bool) {
    for i in 1..items.len() {
        let value = items[i];
        let mut hole = i;
        while hole > 0 && less(value, items[hole - 1]) {
            items[hole] = items[hole - 1];
            hole -= 1;
        }
        items[hole] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers with many ties, from a linear congruential generator.
    fn numbers(count: usize, kinds: u32) -> Vec<u32> {
        let mut state = 7u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % kinds
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    #[test]
    fn sorts_any_length_with_any_number_of_splits() {
        for count in [0, 1, 2, 16, 17, 18, 100, 1000] {
            let mut expected = numbers(count, 50);
            let mut sorted = expected.clone();
            expected.sort_unstable();
            sort(&mut sorted, |a, b| a < b);
            assert_eq!(sorted, expected);
            for splits in 0..3 {
                let mut sorted = numbers(count, 50);
                partition(&mut sorted, splits, |a, b| a < b);
                insert(&mut sorted, |a, b| a < b);
                assert_eq!(sorted, expected, "{splits} splits");
            }
        }
    }

    #[test]
    fn a_heap_gives_the_greatest_first() {
        let mut heap = Vec::new();
        for number in numbers(200, 30) {
            push(&mut heap, number, |a, b| a < b);
        }
        let taken: Vec<_> = std::iter::from_fn(|| pop(&mut heap, |a, b| a < b)).collect();
        assert_eq!(taken.len(), 200);
        assert!(taken.is_sorted_by(|a, b| a >= b));
    }
}
