//! Rows that belong together, such as the questions about one picture.

use crate::random::Key;
use rand::seq::SliceRandom;
use std::collections::HashMap;
use std::hash::Hash;

/// Groups in random order, and the members of each.
pub(crate) fn shuffled(groups: &[Vec<usize>], key: &Key) -> Vec<Vec<usize>> {
    let mut groups = groups.to_vec();
    let mut generator = key.generator();
    groups.shuffle(&mut generator);
    groups.iter_mut().for_each(|group| group.shuffle(&mut generator));
    groups
}

/// Rows in groups of one name, in the order of their first ones; a row without a name is a group of its own.
pub(crate) fn together<N: Hash + Eq>(rows: Vec<usize>, name: impl Fn(usize) -> Option<N>) -> Vec<Vec<usize>> {
    let mut places: HashMap<N, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for row in rows {
        let place = match name(row) {
            Some(name) => *places.entry(name).or_insert(groups.len()),
            None => groups.len(),
        };
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(row);
    }
    groups
}

/// By each row the number of its group.
pub(crate) fn numbers(groups: &[Vec<usize>]) -> HashMap<usize, usize> {
    let numbered = groups.iter().enumerate();
    let rows = numbered.flat_map(|(number, group)| group.iter().map(move |&row| (row, number)));
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_name_are_one_group_and_rows_without_are_alone() {
        let names = [Some("a"), None, Some("b"), Some("a"), None];
        let groups = together((0..5).collect(), |row| names[row]);
        assert_eq!(groups, [vec![0, 3], vec![1], vec![2], vec![4]]);
        assert_eq!(numbers(&groups)[&3], 0);
        let mixed = shuffled(&groups, &Key::new(1));
        assert_eq!(mixed, shuffled(&groups, &Key::new(1)));
        let mut sorted: Vec<Vec<usize>> = mixed;
        sorted.iter_mut().for_each(|group| group.sort_unstable());
        sorted.sort_unstable();
        assert_eq!(sorted, groups);
    }
}
