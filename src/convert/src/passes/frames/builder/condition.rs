use super::*;

impl Builder<'_> {
    pub(super) fn choice(
        &mut self,
        region: &mut Region,
        choice: usize,
        slot: u32,
    ) -> Result<Step, Failure> {
        let (merge, chosen) = &self.analysis.choices[choice];
        let merge = *merge;
        let the_same = |region: &Region, key: Key| match region.memo.get(&key) {
            Some(made) => Step::Done(*made),
            None => Step::Needs(vec![key]),
        };
        if let Choice::Split {
            predicate,
            branches,
        } = chosen
            && let Some(value) = self.analysis.conditions.value(region.alive, *predicate)
            && let Some(known) = usize::try_from(value).ok().and_then(|it| branches.get(it))
        {
            return Ok(the_same(region, Key::Choice(*known, slot)));
        }
        match *chosen {
            Choice::Input(index) if slot == 0 => {
                let key = Key::Wire(self.graph.node(merge).inputs[index]);
                Ok(the_same(region, key))
            }
            Choice::Input(index) => {
                let name = &self.graph.node(merge).name;
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                Ok(Step::Done(region.integer(name, index)))
            }
            Choice::Split { .. } => {
                let group = self.groups.get(&choice).cloned();
                let group = group.unwrap_or_else(|| Rc::new(vec![choice]));
                let results = self.results(&group);
                let Some(number) = results.iter().position(|it| *it == (choice, slot)) else {
                    return self.error(merge, "it has no such output");
                };
                let first = group.first().copied().unwrap_or(choice);
                let mut planned = match region.conditions.remove(&first) {
                    Some(planned) => planned,
                    None => self.plan_condition(region, &results)?,
                };
                let step = match Self::call(region, &mut planned) {
                    Ok(made) => Step::Done(WireId::new(made, slot_number(number))),
                    Err(missing) => Step::Needs(missing),
                };
                region.conditions.insert(first, planned);
                Ok(step)
            }
        }
    }

    /// What an `If` for these choices returns.
    pub(super) fn results(&self, group: &[usize]) -> Vec<(usize, u32)> {
        let mut results = Vec::new();
        for &choice in group {
            results.push((choice, 0));
            if self.indexed.contains(&self.analysis.choices[choice].0) {
                results.push((choice, 1));
            }
        }
        results
    }

    pub(super) fn plan_condition(
        &mut self,
        region: &Region,
        results: &[(usize, u32)],
    ) -> Result<Planned, Failure> {
        let first = results.first().map(|it| &self.analysis.choices[it.0]);
        let Some((merge, Choice::Split { predicate, .. })) = first else {
            return self.error(NodeId(0), "nothing is chosen");
        };
        let (merge, predicate) = (*merge, *predicate);
        self.deeper(merge)?;
        let numbered = self.analysis.conditions.is_numbered(predicate);
        // Of a truth value the branch for true comes first.
        let values: Vec<u32> = match numbered {
            true => (0..self.analysis.conditions.values(predicate)).collect(),
            false => vec![1, 0],
        };
        let mut sides = Vec::new();
        for value in values {
            let conditions = &mut self.analysis.conditions;
            let literal = conditions.literal(predicate, value);
            let alive = conditions.all([region.alive, literal]);
            let kind = Kind::Branch(region.alive);
            let mut side = Region::new(kind, region.frame, alive, Graph::default());
            let mut wires = Vec::new();
            for &(choice, slot) in results {
                if let (_, Choice::Split { branches, .. }) = &self.analysis.choices[choice]
                    && let Some(chosen) = usize::try_from(value).ok().and_then(|i| branches.get(i))
                {
                    let key = Key::Choice(*chosen, slot);
                    wires.push(self.build(&mut side, key)?);
                }
            }
            sides.push((side, wires));
        }
        let mut captures: Vec<Key> = sides.iter().flat_map(|(side, _)| side.captures()).collect();
        unique_keys(&mut captures);
        let op = if numbered { "Case" } else { "If" };
        let name = self.graph.node(merge).name.clone();
        let name = self.unique(&format!("{name}/{op}"));
        let mut branches = Vec::new();
        for (number, (side, wires)) in sides.into_iter().enumerate() {
            let role = match (numbered, number) {
                (true, number) => format!("branch{number}"),
                (false, 0) => "then".into(),
                (false, _) => "else".into(),
            };
            let graph = side.finish(&captures, &|key| self.name_of(key), &wires);
            branches.push(self.function(&name, &role, graph));
        }
        let mut attrs = Attrs::default();
        if let (false, [then, otherwise]) = (numbered, branches.as_slice()) {
            attrs.insert("then_branch", AttrValue::Func(then.clone()));
            attrs.insert("else_branch", AttrValue::Func(otherwise.clone()));
        } else {
            attrs.insert("branches", AttrValue::Funcs(branches));
        }
        attrs.insert("Tout", AttrValue::Types(vec![None; results.len()]));
        self.depth -= 1;
        let inputs = std::iter::once(Key::Wire(predicate)).chain(captures);
        Ok(Planned {
            node: Node {
                source: self.graph.node(merge).source,
                ..Node::new(name, op, attrs, Vec::new())
            },
            inputs: inputs.collect(),
            made: None,
        })
    }

    /// Something is read where it is not alive.
    pub(super) fn elsewhere<T>(
        &mut self,
        region: &Region,
        id: NodeId,
        alive: Alive,
    ) -> Result<T, Failure> {
        for predicate in self.analysis.conditions.predicates(alive) {
            let conditions = &mut self.analysis.conditions;
            let Some(value) = conditions.value(alive, predicate) else {
                continue;
            };
            if conditions.value(region.alive, predicate) == Some(value) {
                continue;
            }
            let value = match (conditions.is_numbered(predicate), value) {
                (false, 0) => "false".to_owned(),
                (false, _) => "true".to_owned(),
                (true, value) => value.to_string(),
            };
            let predicate = self.graph.wire_name(predicate);
            return self.error(
                id,
                format!("it is computed only where `{predicate}` is {value}, and read elsewhere"),
            );
        }
        self.error(id, "it is read where it is not computed")
    }
}
