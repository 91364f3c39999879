//! Objects of a list by their names, so that looking for one does not look at all. Knows nothing of
//! what they are.

use std::collections::HashMap;

/// Places in a list by name, for as many as there were in it.
#[derive(Debug, Default)]
pub(crate) struct Named {
    known: usize,
    places: HashMap<Box<str>, Vec<usize>>,
}

impl Named {
    pub(crate) fn of<'n>(names: impl Iterator<Item = &'n str>) -> Named {
        let mut named = Named::default();
        for name in names {
            match named.places.get_mut(name) {
                Some(places) => places.push(named.known),
                None => drop(named.places.insert(name.into(), vec![named.known])),
            }
            named.known += 1;
        }
        named
    }

    /// Those that may have a name, in the order of their list: somebody may have put more into it
    /// since, and then all are looked at.
    pub(crate) fn find<'a, T>(
        &'a self,
        list: &'a [T],
        name: &str,
    ) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let indexed = self.known == list.len();
        let places = self.places.get(name).filter(|_| indexed).into_iter().flatten();
        let all = list.iter().filter(move |_| !indexed);
        places.filter_map(|at| list.get(*at)).chain(all)
    }
}
