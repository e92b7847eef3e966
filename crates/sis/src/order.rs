//! Orders and the subsets that they define.

use super::RandomState;

/// The subset of `count` features that an order defines: its last ones. All of them if there are not so many.
#[must_use]
pub fn subset_of_order(order: &[u32], count: usize) -> &[u32] {
    &order[order.len().saturating_sub(count)..]
}

/// A uniformly random order of `features` features, as the authors draw their random subsets.
///
/// They keep the **first** pixels of a permutation, and an order keeps its last, so this is the permutation
/// backwards. The stream is sequential: image i's order needs the draws for all images before it.
#[must_use]
pub fn random_order(state: &mut RandomState, features: u32) -> Vec<u32> {
    let mut order = state.permutation(features);
    order.reverse();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subset_is_the_end_of_the_order() {
        let order: Vec<u32> = (0..1024).rev().collect();
        assert_eq!(subset_of_order(&order, 52), &order[972..]);
        assert_eq!(subset_of_order(&[2, 0, 1], 5), [2, 0, 1]);
        assert!(subset_of_order(&[2, 0, 1], 0).is_empty());
    }

    #[test]
    fn random_subsets_are_those_of_the_authors() {
        let mut train = RandomState::new(1234);
        let first = random_order(&mut train, 1024);
        let mut kept: Vec<u32> = subset_of_order(&first, 52).to_vec();
        assert_eq!(kept.iter().sum::<u32>(), 25_111);
        kept.reverse();
        assert_eq!(kept[..10], [836, 523, 89, 915, 270, 347, 122, 801, 666, 99]);
        let mut test = RandomState::new(5678);
        assert_eq!(subset_of_order(&random_order(&mut test, 1024), 52).iter().sum::<u32>(), 28_823);
    }
}
