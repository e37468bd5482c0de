//! A list of answers as a tree of their tokens.

use super::{Constraint, invalid};
use crate::error::Result;
use std::collections::BTreeMap;

impl Constraint {
    /// The given answers and no others, each as its tokens without begin and end.
    ///
    /// # Errors
    /// [`Invalid`](sensorium_data::ErrorKind::Invalid) if there are none.
    pub fn list(answers: &[Vec<u32>]) -> Result<Self> {
        if answers.is_empty() {
            return Err(invalid("expected a list of at least one answer, found an empty one"));
        }
        let mut tree = vec![BTreeMap::new()];
        let mut ends = vec![false];
        for answer in answers {
            let mut state = Self::START;
            for &token in answer {
                let new = tree.len() as u32;
                state = *tree[state as usize].entry(token).or_insert(new);
                if state == new {
                    tree.push(BTreeMap::new());
                    ends.push(false);
                }
            }
            ends[state as usize] = true;
        }
        let steps = tree.into_iter().map(|steps| steps.into_iter().collect());
        Self::new(steps.collect(), &ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(answers: &[&[u32]], state: &[u32], room: usize, followers: &[u32], end: bool) {
        let answers: Vec<Vec<u32>> = answers.iter().map(|answer| answer.to_vec()).collect();
        let constraint = Constraint::list(&answers).unwrap();
        let step = |state, token: &u32| constraint.next(state, *token).unwrap();
        let state = state.iter().fold(Constraint::START, step);
        let found: Vec<u32> = constraint.followers(state, room).collect();
        assert_eq!((found.as_slice(), constraint.may_end(state)), (followers, end));
    }

    #[test]
    fn a_prefix_goes_on_as_some_answer_does() {
        let answers: &[&[u32]] = &[&[5], &[5, 6, 7, 8], &[9, 6]];
        check(answers, &[], 3, &[5, 9], false);
        check(answers, &[], 0, &[5], false);
        check(answers, &[5], 2, &[6], true);
        check(answers, &[5], 1, &[], true);
        check(answers, &[9], 0, &[6], false);
        check(answers, &[9, 6], 9, &[], true);
        check(&[&[]], &[], 9, &[], true);
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert!(Constraint::list(&[]).is_err());
    }

    proptest! {
        #[test]
        fn exactly_the_answers_are_accepted(
            answers in prop::collection::vec(prop::collection::vec(0u32..3, 0..4), 1..8),
            other in prop::collection::vec(0u32..3, 0..5),
        ) {
            let constraint = Constraint::list(&answers).unwrap();
            prop_assert!(answers.iter().all(|answer| constraint.accepts(answer)));
            prop_assert_eq!(constraint.accepts(&other), answers.contains(&other));
            prop_assert_eq!(Some(constraint.shortest()), answers.iter().map(Vec::len).min());
        }
    }
}
