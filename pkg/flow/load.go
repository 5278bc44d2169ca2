package flow

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
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
	// Env is what jobs may read as env beside their own. It stands in Redis with
	// the runs: nothing for secrets.
	Env map[string]string
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
	// contracts are held against jobs, see With.
	contracts Contracts
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
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		abs = target
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

// Size is the number of bytes of the file that a name stands for; 0 when there
// is none.
func (l *Loader) Size(name string) int64 {
	files := []string{name}
	if !strings.ContainsAny(name, `/\`) && path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
		files = []string{"recipes/" + name + ".yaml", "recipes/" + name + ".yml", "flows/" + name + ".yaml", "flows/" + name + ".yml"}
	}
	for _, file := range files {
		if info, err := l.root.Stat(filepath.FromSlash(path.Clean(file))); err == nil {
			return info.Size()
		}
	}
	return 0
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
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		abs = target
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
	// Schedules start runs of it by the clock.
	Schedules []Schedule `json:"schedules,omitempty"`
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
	return Summary{Kind: f.Kind, Name: f.Name, Path: p, Description: f.Description, Inputs: f.Inputs, Valid: true, Schedules: f.Schedules}
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
	ld.takeEnv()
	return ld.bundle, diags
}

var envRead = regexp.MustCompile(`\benv\.([A-Za-z_][A-Za-z0-9_]*)`)

// takeEnv freezes what the definition reads of the installation's environment.
// A name that is computed could be any, so all are taken then.
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
	o := ld.l.o
	base := path.Base(file)
	f := &Flow{Path: file, Name: strings.TrimSuffix(base, path.Ext(base)), Jobs: []Job{}}
	ld.bundle.Flows[key] = f
	d := &draft{source: &source{file: file, out: &ld.out}, flow: f, named: map[string]bool{}}
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
