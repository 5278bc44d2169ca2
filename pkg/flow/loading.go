package flow

import (
	"bytes"
	"path"
	"regexp"
	"strings"
)

// loading is a bundle being loaded.
type loading struct {
	l      *Loader
	bundle *Bundle
	out    Diagnostics
	stack  []string
}

// above is what a flow inherits from the definition that calls it.
type above struct {
	defaults *defaults
	priority int
	key      string // "" when nothing is inherited
}

func (ld *loading) finish(key string, text []byte) (*Bundle, Diagnostics) {
	ld.load(key, text, above{priority: -1, defaults: ld.l.lang.installed(ld.l.o)})
	ld.bundle.Root = key
	diags := ld.out.inOrder()
	if diags.HasErrors() {
		return nil, diags
	}
	ld.takeEnv()
	return ld.bundle, diags
}

var envRead = regexp.MustCompile(`\benv\.([A-Za-z_][A-Za-z0-9_]*)`)

// takeEnv copies the variables of the installation that the definition reads into
// the bundle. When a name is computed it copies all of them.
func (ld *loading) takeEnv() {
	if len(ld.l.o.Env) == 0 {
		return
	}
	text, err := ld.bundle.Encode()
	if err != nil {
		return
	}
	if bytes.Contains(text, []byte("env(")) || bytes.Contains(text, []byte("env[")) {
		ld.bundle.Env = ld.l.o.Env
		return
	}
	for _, m := range envRead.FindAllSubmatch(text, -1) {
		name := string(m[1])
		if value, there := ld.l.o.Env[name]; there {
			if ld.bundle.Env == nil {
				ld.bundle.Env = map[string]string{}
			}
			ld.bundle.Env[name] = value
		}
	}
}

// load reads one file and what it calls, and returns its key in the bundle.
func (ld *loading) load(file string, text []byte, up above) string {
	key := file
	if up.key != "" {
		key = file + "#" + up.key
	}
	if _, there := ld.bundle.Flows[key]; there {
		return key
	}
	base := path.Base(file)
	f := &Flow{Path: file, Name: strings.TrimSuffix(base, path.Ext(base)), Jobs: []Job{}}
	ld.bundle.Flows[key] = f
	d := &draft{source: &source{file: file, out: &ld.out}, lang: ld.l.lang, o: ld.l.o, flow: f, named: map[string]bool{}, defaults: up.defaults}
	v := d.parse(text, d.o)
	if v == nil {
		return key
	}
	d.define(v)
	if v.kind != mapValue {
		return key
	}
	ld.priorities(d, up)
	d.check()
	outputs := d.checkContracts(ld.l.contracts)
	ld.stack = append(ld.stack, file)
	ld.calls(d, key)
	ld.flowResults(d, outputs)
	d.checkResults(outputs)
	ld.hooks(d, key)
	ld.stack = ld.stack[:len(ld.stack)-1]
	return key
}

// calls loads the flows that the jobs of a definition start.
func (ld *loading) calls(d *draft, key string) {
	for i := range d.jobs {
		if d.jobs[i].calls != nil && i < len(d.flow.Jobs) {
			ld.call(d, i, key)
		}
	}
}

// priorities fills in the priority of the flow and of jobs that do not set one.
func (ld *loading) priorities(d *draft, up above) {
	f := d.flow
	if f.Priority < 0 {
		f.Priority = up.priority
	}
	if f.Priority < 0 {
		f.Priority = PriorityNormal
	} else {
		d.hasPrio = true
	}
	for i := range f.Jobs {
		if f.Jobs[i].Priority < 0 {
			f.Jobs[i].Priority = f.Priority
		} else if f.Jobs[i].Priority != f.Priority {
			d.hasPrio = true
		}
	}
}
