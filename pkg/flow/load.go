package flow

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Options are the place of a project, the defaults of its jobs, and limits. A zero
// limit means the default given here.
type Options struct {
	// Root is the project's folder, which holds recipes/, flows/ and jobs/.
	Root string
	// Retries is the default number of retries of jobs, Timeout their default
	// timeout (30 minutes).
	Retries int
	Timeout time.Duration
	// Env holds variables that all jobs may read as env. They are stored in Redis
	// with the runs, so they must not hold secrets.
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

// Loader reads definitions of a project. It is safe for concurrent use.
type Loader struct {
	o    Options
	lang *language
	root *os.Root
	abs  string
	// contracts are those against which jobs are checked, see With.
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
	return &Loader{o: o, lang: newLanguage(), root: root, abs: abs}, nil
}

// Close closes the project's folder.
func (l *Loader) Close() error { return l.root.Close() }

// Load reads a recipe or flow, together with every flow it calls. name is its name
// or the path of its file, relative to the current directory.
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
// project. Unlike Load it never reads a file outside the project.
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
		return refuse("the path is outside the project")
	}
	text, err := l.read(key)
	if err != nil {
		return refuse(err.Error())
	}
	return ld.finish(key, text)
}

// Size returns the number of bytes of the definition with a name; 0 when there is
// no such file.
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

// LoadText reads a definition from a text; name is used for it in messages. Flows
// that it calls are looked up in the project.
func (l *Loader) LoadText(name string, text []byte) (*Bundle, Diagnostics) {
	ld := &loading{l: l, bundle: &Bundle{Flows: map[string]*Flow{}}}
	return ld.finish(name, text)
}

// find reads the file of a definition by name or path.
func (l *Loader) find(name string) (key string, text []byte, err error) {
	if strings.ContainsRune(name, 0) || name == "" {
		return "", nil, errors.New("this is not a name")
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

// readable removes the system call and the path from a file error.
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

// Summary describes one definition of the project.
type Summary struct {
	Kind        Kind    `json:"kind"`
	Name        string  `json:"name"`
	Path        string  `json:"path"`
	Description string  `json:"description,omitempty"`
	Inputs      []Input `json:"inputs,omitempty"`
	Valid       bool    `json:"valid"`
	// Schedules start its runs at fixed times.
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
