package flow

import "fmt"

// hookDraft is a hook being read. job is the index of the job to which it belongs,
// -1 for a hook of the definition.
type hookDraft struct {
	on   HookOn
	name *value
	body *value
	job  int
}

// asHook is a map of jobs that run after the end of the definition.
func asHook(on HookOn, schemaName string) kind[draft] {
	return kind[draft]{schema: ref(schemaName), read: func(d *draft, _ *draft, k, v *value) {
		d.hooks = append(d.hooks, hookDraft{on: on, name: k, body: v, job: -1})
	}}
}

// asJobHook is a map of jobs that run after the job has failed.
func asJobHook() kind[parsedJob] {
	return kind[parsedJob]{schema: ref("hook"), read: func(d *draft, _ *parsedJob, k, v *value) {
		d.hooks = append(d.hooks, hookDraft{on: OnFailureHook, name: k, body: v, job: len(d.flow.Jobs)})
	}}
}

// owner is the definition whose inputs and vars the jobs can read.
func (d *draft) owner() *draft {
	if d.outer != nil {
		return d.outer
	}
	return d
}

// hooks reads the hooks of a definition. They are flows of their own that can read
// its inputs, vars and jobs.
func (ld *loading) hooks(d *draft, key string) {
	byKind := map[HookOn]Hook{}
	for _, h := range d.hooks {
		if h.body.kind != mapValue {
			d.wrongType(h.body, string(h.on), "a map of jobs")
			continue
		}
		name := string(h.on)
		if h.job >= 0 {
			if d.outer != nil {
				d.errorAt(h.name, "E105", "a job of a hook cannot have a hook of its own", "use dependsOn: {<job>: failed} inside the hook")
				continue
			}
			if h.job >= len(d.flow.Jobs) {
				continue // the job itself is not valid
			}
			name = "@" + d.flow.Jobs[h.job].Name + "@" + name
		} else {
			name = "@" + name
		}
		hook := Hook{On: h.on, Flow: key + name}
		ld.readHook(d, h, &hook)
		if h.job >= 0 {
			d.flow.Jobs[h.job].OnFailure = &hook
		} else {
			byKind[h.on] = hook
		}
	}
	for _, on := range HookKinds() {
		if hook, there := byKind[on]; there {
			d.flow.Hooks = append(d.flow.Hooks, hook)
		}
	}
}

func (ld *loading) readHook(d *draft, h hookDraft, hook *Hook) {
	f := &Flow{Kind: KindHook, Path: d.file, Name: string(h.on), Jobs: []Job{}, Priority: d.flow.Priority}
	ld.bundle.Flows[hook.Flow] = f
	in := &draft{source: d.source, lang: d.lang, o: d.o, flow: f, root: &value{kind: mapValue}, named: map[string]bool{}, inputs: d.inputs, defaults: d.defaults, outer: d}
	for i, k := range h.body.keys {
		v := h.body.items[i]
		if k.text == "recover" && v.kind == scalarValue && h.on == OnFailureHook {
			in.boolean(&hook.Recover, k, v)
			continue
		}
		if d.named[k.text] {
			d.errorAt(k, "E101", fmt.Sprintf("the flow also has a job %q, and jobs of a hook can read both", k.text), "give one of them another name")
			continue
		}
		if v.kind == scalarValue && v.scalar != nil {
			hint := "a hook is a map of jobs, as in `" + string(h.on) + ": {tell: {job: http}}`"
			if k.text == "recover" {
				hint = "only onFailure has recover"
			}
			d.errorAt(k, "E104", fmt.Sprintf("%q of %s is not a job", k.text, h.on), hint)
			continue
		}
		if in.name(k, "a job") {
			in.readJob(k, v, false, "")
		}
	}
	ld.priorities(in, above{priority: f.Priority})
	in.check()
	ld.calls(in, hook.Flow)
	ld.hooks(in, hook.Flow)
}
