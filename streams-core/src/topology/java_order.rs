//! The iteration order of Java's `HashSet` and `TreeSet`, because Kafka Streams prints `describe()` in that order, and
//! registers the stores of a node in it.
//!
//! In: names or nodes in the order in which they are added. Out: the order in which Java would list them. Only
//! descriptions and the order in which stores are flushed may depend on it. Buckets that Java turns into trees (nine names with one hash) keep their order here.

use std::cmp::Ordering;

/// `String.hashCode()`.
pub(super) fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// `String.compareTo()`: by UTF-16 units.
pub(super) fn compare_strings(one: &str, two: &str) -> Ordering {
    one.encode_utf16().cmp(two.encode_utf16())
}

/// A `HashSet` or `HashMap` of strings, as far as its order goes.
pub(crate) struct HashOrder<'a> {
    buckets: Vec<Vec<(u32, &'a str)>>,
    len: usize,
}

const DEFAULT_CAPACITY: usize = 16;
/// A bucket that already has this many entries makes a small table grow.
const TREEIFY_THRESHOLD: usize = 8;
const MIN_TREEIFY_CAPACITY: usize = 64;

impl<'a> HashOrder<'a> {
    /// `new HashSet<>()`.
    pub(crate) fn new() -> Self {
        Self::with_capacity(DEFAULT_CAPACITY)
    }

    /// `new HashSet<>(names)`.
    pub(crate) fn copy_of(names: &[&'a str]) -> Self {
        let capacity = (names.len() as f32 / 0.75_f32) as usize + 1;
        let mut copy = Self::with_capacity(capacity.max(DEFAULT_CAPACITY).next_power_of_two());
        names.iter().for_each(|name| copy.add(name));
        copy
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { buckets: vec![Vec::new(); capacity], len: 0 }
    }

    /// `add` or `put`: a name that is there already keeps its place.
    pub(crate) fn add(&mut self, name: &'a str) {
        let hash = string_hash(name) as u32;
        let spread = hash ^ (hash >> 16);
        let capacity = self.buckets.len();
        let Some(bucket) = self.buckets.get_mut(spread as usize & (capacity - 1)) else { return };
        if bucket.iter().any(|(_, known)| *known == name) {
            return;
        }
        let crowded = bucket.len() >= TREEIFY_THRESHOLD && capacity < MIN_TREEIFY_CAPACITY;
        bucket.push((spread, name));
        self.len += 1;
        if crowded {
            self.grow();
        }
        if self.len > self.buckets.len() / 4 * 3 {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let capacity = self.buckets.len() * 2;
        let mut grown = vec![Vec::new(); capacity];
        for entry in self.buckets.drain(..).flatten() {
            if let Some(bucket) = grown.get_mut(entry.0 as usize & (capacity - 1)) {
                bucket.push(entry);
            }
        }
        self.buckets = grown;
    }

    /// The names in iteration order.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        self.buckets.iter().flatten().map(|(_, name)| *name).collect()
    }
}

/// A `TreeSet` of node indices whose comparator may change its mind between additions: what Kafka Streams' sets of
/// successors are, because sizes grow while nodes are connected. Then the order depends on the shape of the tree.
#[derive(Default)]
pub(super) struct TreeOrder {
    entries: Vec<Entry>,
    root: Option<usize>,
}

struct Entry {
    node: usize,
    parent: Option<usize>,
    /// Left and right.
    children: [Option<usize>; 2],
    red: bool,
}

impl TreeOrder {
    /// `add`, with the comparator as it is now.
    pub(super) fn add(&mut self, node: usize, compare: &dyn Fn(usize, usize) -> Ordering) {
        let mut parent = None;
        let mut side = 0;
        let mut next = self.root;
        while let Some((index, entry)) = next.and_then(|index| Some((index, self.entries.get(index)?))) {
            side = match compare(node, entry.node) {
                Ordering::Equal => return,
                Ordering::Less => 0,
                Ordering::Greater => 1,
            };
            parent = Some(index);
            next = entry.child(side);
        }
        let new = self.entries.len();
        self.entries.push(Entry { node, parent, children: [None, None], red: parent.is_some() });
        match parent {
            None => self.root = Some(new),
            Some(parent) => {
                self.set_child(parent, side, Some(new));
                self.rebalance(new);
            }
        }
    }

    /// The nodes in iteration order.
    pub(super) fn nodes(&self) -> Vec<usize> {
        let mut nodes = Vec::with_capacity(self.entries.len());
        let mut stack = Vec::new();
        let mut next = self.root;
        while next.is_some() || !stack.is_empty() {
            while let Some(index) = next {
                stack.push(index);
                next = self.child(Some(index), 0);
            }
            if let Some(entry) = stack.pop().and_then(|index| self.entries.get(index)) {
                nodes.push(entry.node);
                next = entry.child(1);
            }
        }
        nodes
    }

    /// The usual red-black repair after an insertion.
    fn rebalance(&mut self, mut index: usize) {
        while let Some(mut parent) = self.parent(index).filter(|parent| self.is_red(Some(*parent))) {
            let Some(grand) = self.parent(parent) else { break };
            let side = self.side(parent);
            let uncle = self.child(Some(grand), 1 - side);
            if self.is_red(uncle) {
                self.paint(Some(parent), false);
                self.paint(uncle, false);
                self.paint(Some(grand), true);
                index = grand;
                continue;
            }
            if self.side(index) != side {
                self.rotate(parent, side);
                (index, parent) = (parent, index);
            }
            debug_assert_eq!(self.parent(index), Some(parent));
            self.paint(Some(parent), false);
            self.paint(Some(grand), true);
            self.rotate(grand, 1 - side);
        }
        self.paint(self.root, false);
    }

    /// Moves `index` down to `side`; its other child takes its place.
    fn rotate(&mut self, index: usize, side: usize) {
        let Some(up) = self.child(Some(index), 1 - side) else { return };
        let inner = self.child(Some(up), side);
        let parent = self.parent(index);
        self.set_child(index, 1 - side, inner);
        match parent {
            None => self.root = Some(up),
            Some(parent) => {
                let place = self.side(index);
                self.set_child(parent, place, Some(up));
            }
        }
        if let Some(entry) = self.entries.get_mut(up) {
            entry.parent = parent;
        }
        self.set_child(up, side, Some(index));
    }

    fn parent(&self, index: usize) -> Option<usize> {
        self.entries.get(index)?.parent
    }

    fn child(&self, index: Option<usize>, side: usize) -> Option<usize> {
        self.entries.get(index?)?.child(side)
    }

    /// On which side of its parent `index` hangs.
    fn side(&self, index: usize) -> usize {
        usize::from(self.child(self.parent(index), 0) != Some(index))
    }

    fn is_red(&self, index: Option<usize>) -> bool {
        index.and_then(|index| self.entries.get(index)).is_some_and(|entry| entry.red)
    }

    fn paint(&mut self, index: Option<usize>, red: bool) {
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            entry.red = red;
        }
    }

    fn set_child(&mut self, parent: usize, side: usize, child: Option<usize>) {
        if let Some(slot) = self.entries.get_mut(parent).and_then(|entry| entry.children.get_mut(side)) {
            *slot = child;
        }
        if let Some(entry) = child.and_then(|child| self.entries.get_mut(child)) {
            entry.parent = Some(parent);
        }
    }
}

impl Entry {
    fn child(&self, side: usize) -> Option<usize> {
        self.children.get(side).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_java_does() {
        assert_eq!(string_hash(""), 0);
        assert_eq!(string_hash("in"), 3365);
        assert_eq!(string_hash("KSTREAM-SOURCE-0000000000"), {
            let mut hash = 0_i32;
            for byte in b"KSTREAM-SOURCE-0000000000" {
                hash = hash.wrapping_mul(31).wrapping_add(i32::from(*byte));
            }
            hash
        });
        assert_eq!(HashOrder::copy_of(&["in1", "in2"]).names(), ["in2", "in1"]);
    }

    #[test]
    fn tables_grow_as_javas() {
        let names: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
        let mut grown = HashOrder::new();
        names.iter().for_each(|name| grown.add(name));
        assert_eq!(grown.buckets.len(), 64);
        let listed: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(HashOrder::copy_of(&listed[..12]).buckets.len(), 32);
        assert_eq!(HashOrder::copy_of(&listed[..11]).buckets.len(), 16);
    }

    proptest::proptest! {
        #[test]
        fn a_tree_with_a_steady_comparator_sorts(nodes in proptest::collection::vec(0_usize..200, 0..150)) {
            let mut tree = TreeOrder::default();
            for node in &nodes {
                tree.add(*node, &|one, two| one.cmp(&two));
            }
            let mut sorted = nodes.clone();
            sorted.sort_unstable();
            sorted.dedup();
            proptest::prop_assert_eq!(tree.nodes(), sorted);
        }
    }
}
