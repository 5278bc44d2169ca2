package flow

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/expr"
)

// Options says where definitions are and what they may be. Zero limits mean
// the defaults given here.
type Options struct {
	// Root is the project's folder, which holds recipes/, flows/ and jobs/.
	Root string
	// Retries is the number of retries of jobs that do not say; Timeout their
	// timeout (30 minutes).
	Retries int
	Timeout time.Duration
	// MaxBytes of a file (1 MiB), MaxAliases (1,000), MaxDepth of values (64),
	// MaxTasks of a flow (100,000), MaxNesting of flows (10).
	MaxBytes, MaxAliases, MaxDepth, MaxTasks, MaxNesting int
}

func (o Options) withDefaults() Options {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&o.MaxBytes, 1<<20)
	set(&o.MaxAliases, 1000)
	set(&o.MaxDepth, 64)
	set(&o.MaxTasks, 100_000)
	set(&o.MaxNesting, 10)
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Minute
	}
	if o.Root == "" {
		o.Root = "."
	}
	return o
}

// Loader reads definitions of a project. It may be used by many at once.
type Loader struct {
	o    Options
	root *os.Root
	abs  string
}

// NewLoader opens a project. Flows are never read from outside its folder.
func NewLoader(o Options) (*Loader, error) {
	o = o.withDefaults()
	root, err := os.OpenRoot(o.Root)
	if err != nil {
		return nil, fmt.Errorf("open the project: %w", err)
	}
	abs, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the project: %w", err), root.Close())
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	return &Loader{o: o, root: root, abs: abs}, nil
}

// Close closes the project's folder.
func (l *Loader) Close() error { return l.root.Close() }

// Load reads a recipe or flow by its name, or by the path of its file as a
// person types it, together with every flow it calls.
func (l *Loader) Load(name string) (*Bundle, Diagnostics) {
	ld := &loading{l: l, bundle: &Bundle{Flows: map[string]*Flow{}}}
	key, text, err := l.find(name)
	if err != nil {
		ld.out = append(ld.out, Diagnostic{Severity: SeverityError, Code: "E001", File: name, Message: err.Error(), Hint: l.suggest(name)})
		return nil, ld.out
	}
	return ld.finish(key, text)
}

// LoadLocal reads a recipe or flow by its name, or by its path relative to the
// project. Unlike Load it never looks at anything outside the project.
func (l *Loader) LoadLocal(name string) (*Bundle, Diagnostics) {
	ld := &loading{l: l, bundle: &Bundle{Flows: map[string]*Flow{}}}
	refuse := func(message string) (*Bundle, Diagnostics) {
		return nil, append(ld.out, Diagnostic{Severity: SeverityError, Code: "E001", File: name, Message: message, Hint: l.suggest(name)})
	}
	if !strings.ContainsAny(name, `/\`) && path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
		return l.Load(name)
	}
	key := path.Clean(name)
	if !filepath.IsLocal(key) {
		return refuse("the path leads out of the project")
	}
	text, err := l.read(key)
	if err != nil {
		return refuse(err.Error())
	}
	return ld.finish(key, text)
}

// LoadText reads a definition that stands in no file; name is used for it in
// messages. Flows it calls are looked up in the project.
func (l *Loader) LoadText(name string, text []byte) (*Bundle, Diagnostics) {
	ld := &loading{l: l, bundle: &Bundle{Flows: map[string]*Flow{}}}
	return ld.finish(name, text)
}

// find reads the file a name stands for.
func (l *Loader) find(name string) (key string, text []byte, err error) {
	if strings.ContainsRune(name, 0) || name == "" {
		return "", nil, errors.New("this is no name")
	}
	if !strings.ContainsAny(name, `/\`) && path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
		for _, folder := range []string{"recipes", "flows"} {
			for _, ext := range []string{".yaml", ".yml"} {
				key = path.Join(folder, name+ext)
				if text, err = l.read(key); err == nil || !errors.Is(err, fs.ErrNotExist) {
					return key, text, err
				}
			}
		}
		return "", nil, fmt.Errorf("there is no recipe or flow %q in the project", name)
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", nil, err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	if rel, err := filepath.Rel(l.abs, abs); err == nil && filepath.IsLocal(rel) {
		text, err = l.read(filepath.ToSlash(rel))
		return filepath.ToSlash(rel), text, err
	}
	f, err := os.Open(abs)
	if err != nil {
		return "", nil, readable(err)
	}
	defer func() { _ = f.Close() }()
	text, err = l.readAll(f)
	return filepath.ToSlash(filepath.Clean(name)), text, err
}

// read reads a file of the project.
func (l *Loader) read(key string) ([]byte, error) {
	info, err := l.root.Stat(filepath.FromSlash(key))
	if err != nil {
		return nil, readable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := l.root.Open(filepath.FromSlash(key))
	if err != nil {
		return nil, readable(err)
	}
	defer func() { _ = f.Close() }()
	return l.readAll(f)
}

func (l *Loader) readAll(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, readable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, int64(l.o.MaxBytes)+1))
	if err != nil {
		return nil, readable(err)
	}
	return text, nil
}

// readable drops the call from a file error, which people need not know.
func readable(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("it cannot be read: %w", p.Err)
	}
	return err
}

func (l *Loader) suggest(name string) string {
	all, err := l.List()
	if err != nil {
		return ""
	}
	var names []string
	for _, s := range all {
		names = append(names, strings.TrimSuffix(path.Base(s.Path), path.Ext(s.Path)))
	}
	return hintOf(strings.TrimSuffix(path.Base(name), path.Ext(name)), names, "recipes and flows")
}

// Summary tells of one definition of the project.
type Summary struct {
	Kind        Kind    `json:"kind"`
	Name        string  `json:"name"`
	Path        string  `json:"path"`
	Description string  `json:"description,omitempty"`
	Inputs      []Input `json:"inputs,omitempty"`
	Valid       bool    `json:"valid"`
}

// List returns the recipes and flows of the project by path.
func (l *Loader) List() ([]Summary, error) {
	var all []Summary
	for _, folder := range []string{"recipes", "flows"} {
		err := fs.WalkDir(l.root.FS(), folder, func(p string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if ext := path.Ext(p); e.IsDir() || ext != ".yaml" && ext != ".yml" {
				return nil
			}
			all = append(all, l.summary(p))
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list the project: %w", err)
		}
	}
	return all, nil
}

func (l *Loader) summary(p string) Summary {
	s := Summary{Kind: KindFlow, Path: p, Name: strings.TrimSuffix(path.Base(p), path.Ext(p))}
	if strings.HasPrefix(p, "recipes/") {
		s.Kind = KindRecipe
	}
	text, err := l.read(p)
	if err != nil {
		return s
	}
	ld := &loading{l: l, bundle: &Bundle{Flows: map[string]*Flow{}}}
	b, diags := ld.finish(p, text)
	if diags.HasErrors() {
		return s
	}
	f := b.RootFlow()
	return Summary{Kind: f.Kind, Name: f.Name, Path: p, Description: f.Description, Inputs: f.Inputs, Valid: true}
}

// loading is one definition being put together.
type loading struct {
	l      *Loader
	bundle *Bundle
	out    Diagnostics
	stack  []string
}

// above is what a flow takes over from the definition that calls it.
type above struct {
	defaults defaults
	priority int
	key      string // "" when nothing is taken over
}

func (ld *loading) finish(key string, text []byte) (*Bundle, Diagnostics) {
	ld.load(key, text, above{priority: -1})
	ld.bundle.Root = key
	diags := ld.out.inOrder()
	if diags.HasErrors() {
		return nil, diags
	}
	return ld.bundle, diags
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
	o := ld.l.o
	base := path.Base(file)
	f := &Flow{Path: file, Name: strings.TrimSuffix(base, path.Ext(base)), Jobs: []Job{}}
	ld.bundle.Flows[key] = f
	d := &draft{source: &source{file: file, out: &ld.out}, flow: f}
	v := d.parse(text, o)
	if v == nil {
		return key
	}
	d.takeDefaults(v, up, o)
	d.define(v, o)
	if v.kind != mapValue {
		return key
	}
	ld.priorities(d, up)
	d.check()
	ld.stack = append(ld.stack, file)
	for i := range d.jobs {
		if d.jobs[i].calls != nil && i < len(f.Jobs) {
			ld.call(d, i, key)
		}
	}
	ld.stack = ld.stack[:len(ld.stack)-1]
	return key
}

// takeDefaults starts with the defaults of the caller, and reads the file's
// own over them before any job is read.
func (d *draft) takeDefaults(v *value, up above, o Options) {
	d.defaults = up.defaults
	d.defaults.envValue = nil
	for i, k := range v.keys {
		if k.text != "defaults" {
			continue
		}
		quiet := *d.source
		quiet.out = &Diagnostics{}
		scratch := &draft{source: &quiet, flow: d.flow, defaults: d.defaults}
		scratch.readDefaults(o)(k, v.items[i])
		d.defaults = scratch.defaults
	}
}

// priorities fills in the priority of the flow and of jobs that do not say.
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

// call loads the flow that a job starts.
func (ld *loading) call(d *draft, i int, key string) {
	jd, j := &d.jobs[i], &d.flow.Jobs[i]
	file, text, err := ld.lookUp(d.file, jd)
	if err != nil {
		d.errorAt(jd.calls, "E001", fmt.Sprintf("flow %q: %v", jd.calls.text, err), ld.suggestFlow(jd))
		return
	}
	if at := slices.Index(ld.stack, file); at >= 0 {
		d.errorAt(jd.calls, "E004", "the flow calls itself: "+strings.Join(append(ld.stack[at:len(ld.stack):len(ld.stack)], file), " -> "), "")
		return
	}
	if len(ld.stack) > ld.l.o.MaxNesting {
		d.errorAt(jd.calls, "E003", fmt.Sprintf("flows are nested more than %d deep", ld.l.o.MaxNesting), "")
		return
	}
	up := above{priority: -1, defaults: d.defaults}
	if d.hasPrio {
		up.priority = j.Priority
	}
	df := &d.defaults
	if df.retries != nil || df.timeout != nil || df.queueTimeout != nil || df.heartbeat != nil ||
		df.queue != "" || df.priority != nil || len(df.env) > 0 || up.priority >= 0 {
		up.key = key + "/" + j.Name
	}
	j.Flow = ld.load(file, text, up)
	ld.checkGiven(d, i)
}

// lookUp finds the file of a nested flow: a path relative to the calling file
// or to the project, or a name under flows/.
func (ld *loading) lookUp(from string, jd *jobDraft) (string, []byte, error) {
	name := jd.calls.text
	if strings.ContainsRune(name, 0) || strings.Contains(name, `\`) {
		return "", nil, errors.New("this is no path")
	}
	var tries []string
	isPath := strings.Contains(name, "/") || path.Ext(name) == ".yaml" || path.Ext(name) == ".yml"
	if isPath {
		tries = []string{path.Join(path.Dir(from), name), path.Clean(name)}
	} else {
		tries = []string{"flows/" + name + ".yaml", "flows/" + name + ".yml"}
	}
	if path.IsAbs(name) {
		return "", nil, errors.New("the path must be relative, inside the project")
	}
	inside := false
	for _, p := range tries {
		if !filepath.IsLocal(p) {
			continue
		}
		inside = true
		text, err := ld.l.read(p)
		if err == nil {
			return p, text, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	if !inside {
		return "", nil, errors.New("the path leads out of the project")
	}
	return "", nil, fmt.Errorf("there is no %s", strings.Join(slices.Compact(tries), " and no "))
}

func (ld *loading) suggestFlow(jd *jobDraft) string {
	entries, err := fs.ReadDir(ld.l.root.FS(), "flows")
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
	}
	word := path.Base(jd.calls.text)
	return didYouMean(strings.TrimSuffix(word, path.Ext(word)), names)
}

// checkGiven checks what can be known now of the inputs given to a flow.
func (ld *loading) checkGiven(d *draft, i int) {
	j, jd := &d.flow.Jobs[i], &d.jobs[i]
	sub := ld.bundle.Flows[j.Flow]
	if sub == nil || sub.OpenInputs || len(ld.out) > 0 && ld.out.HasErrors() {
		return
	}
	given, ok := j.Inputs.Source().(map[string]any)
	if !ok && j.Inputs != nil {
		return
	}
	at := jd.name
	for n, k := range jd.body.keys {
		if k.text == "inputs" {
			at = jd.body.items[n]
		}
	}
	known := make([]string, len(sub.Inputs))
	for n := range sub.Inputs {
		in := &sub.Inputs[n]
		known[n] = in.Name
		v, there := given[in.Name]
		where := at.at([]any{in.Name})
		switch {
		case !there && in.Required && in.Default == nil:
			d.errorAt(jd.name, "E205", fmt.Sprintf("flow %s wants the input %q, which job %q does not give", sub.Path, in.Name, j.Name), "")
		case there && in.Constant:
			d.errorAt(where, "E205", fmt.Sprintf("input %q of flow %s is a constant", in.Name, sub.Path), "")
		case there:
			if t, err := expr.ParseTemplate(v); err == nil {
				if c, fixed := t.Constant(); fixed && c != nil {
					if _, err := in.resolve(c, true, &inputScope{}); err != nil {
						d.errorAt(where, "E205", fmt.Sprintf("input %q of flow %s: %v", in.Name, sub.Path, err), "")
					}
				}
			}
		}
	}
	for n, k := range at.keys {
		if !slices.Contains(known, k.text) && at != jd.name {
			d.errorAt(at.keys[n], "E205", fmt.Sprintf("flow %s has no input %q", sub.Path, k.text), hintOf(k.text, known, "inputs"))
		}
	}
}
