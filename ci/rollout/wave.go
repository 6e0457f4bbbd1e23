package rollout

// waves are the steps that are done at once: those beside each other with the
// same verb, each on a target of its own.
func waves(steps []Step) [][]Step {
	var all [][]Step
	for _, step := range steps {
		if last := len(all) - 1; last >= 0 && together(all[last], step) {
			all[last] = append(all[last], step)
			continue
		}
		all = append(all, []Step{step})
	}
	return all
}

func together(wave []Step, step Step) bool {
	if step.Verb != wave[0].Verb || step.Settles != wave[0].Settles || step.Verb == Gate || step.Verb == RunHook {
		return false
	}
	for _, other := range wave {
		if other.Target == step.Target {
			return false
		}
	}
	return true
}

// forward leaves out what is only for a rollout that fails.
func forward(steps []Step) []Step {
	var all []Step
	for _, step := range steps {
		if !step.onFailure() {
			all = append(all, step)
		}
	}
	return all
}

func (s Step) onFailure() bool { return s.Verb == RunHook && s.Hook.When == OnFailure }

// afterwards says whether a step comes when the release is committed everywhere: what it does not do is no reason to go back.
func (s Step) afterwards() bool {
	return s.Verb == Stop && !s.Settles || s.Verb == RunHook && s.Hook.When == AfterCommit
}
