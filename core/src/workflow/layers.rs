//! The layers of a graph, for drawing it: each step stands behind all that it waits for.

use super::{Graph, Place};

impl Graph {
    /// The layer of each step, from 0. The steps of a workflow within stand behind it, and what follows it behind them.
    pub fn layers(&self) -> Vec<u32> {
        // Each step has a beginning and an end, and these follow each other without a cycle, as the steps do.
        let count = self.nodes().len();
        let end = |place: Place| count + place.0;
        let mut behind = vec![Vec::new(); 2 * count];
        for place in self.places() {
            let node = self.node(place);
            behind[place.0].push((end(place), 0));
            for edge in &node.behind {
                behind[end(place)].push((edge.place.0, 1));
            }
            for child in &node.children {
                behind[place.0].push((child.0, 1));
                behind[end(*child)].push((end(place), 0));
            }
        }
        let mut waits = vec![0_usize; 2 * count];
        for (next, _) in behind.iter().flatten() {
            waits[*next] += 1;
        }
        let mut layers = vec![0_u32; 2 * count];
        let mut free: Vec<_> = (0..2 * count).filter(|vertex| waits[*vertex] == 0).collect();
        while let Some(vertex) = free.pop() {
            for (next, further) in &behind[vertex] {
                layers[*next] = layers[*next].max(layers[vertex] + further);
                waits[*next] -= 1;
                if waits[*next] == 0 {
                    free.push(*next);
                }
            }
        }
        layers.truncate(count);
        layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_stands_behind_all_that_it_waits_for() {
        let json = r#"{"steps":{"a":{"task":"{}"},"b":{"workflow":{"steps":{"x":{"task":"{}"},"y":{"task":"{}","after":{"x":"go_on"}}}},
            "after":{"a":"stop"}},"c":{"task":"{}","after":{"a":"stop","b":"stop"}},"d":{"task":"{}"}}}"#;
        let graph = Graph::new(&serde_json::from_str(json).unwrap()).unwrap();
        let named: Vec<_> =
            graph.nodes().iter().zip(graph.layers()).map(|(node, layer)| format!("{}={layer}", node.path)).collect();
        assert_eq!(named, ["a=0", "b=1", "c=4", "d=0", "b/x=2", "b/y=3"]);
    }
}
