package executable

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/orchis-run/orchis/pkg/job"
)

var handlerName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// Register adds each executable file of a folder as a handler. The name of the
// file without its extension is the handler's name. A folder that is not there
// has no handlers. The limits are for each program; contracts say more of some
// handlers, by name.
func Register(r *job.Registry, dir string, limits Limits, contracts map[string]job.Contract) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the handlers of %s: %w", dir, err)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("read the handlers of %s: %w", dir, err)
	}
	files := make(map[string]string)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path)
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
			continue // a contract
		}
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name()))
		if !handlerName.MatchString(name) {
			return fmt.Errorf("the file %s gives no name for a handler", path)
		}
		if other, twice := files[name]; twice {
			return fmt.Errorf("both %s and %s would be the handler %q", other, path, name)
		}
		files[name] = path
		c := contracts[name]
		if c.Name = name; c.Description == "" {
			c.Description = "executable " + e.Name()
		}
		if err := r.Add(c, file{path, limits}); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// file is an executable as a handler.
type file struct {
	path   string
	limits Limits
}

// Run runs the file with the inputs on standard input.
func (f file) Run(ctx context.Context, inputs json.RawMessage) (json.RawMessage, error) {
	said := &directives{ctx: ctx}
	inputs, err := fetched(ctx, inputs)
	if err != nil {
		return nil, err
	}
	c := Command{Argv: []string{f.path}, Limits: f.limits, Dir: job.Info(ctx).Dir, Stdin: append(bytes.Clone(inputs), '\n'), Progress: said.line}
	o, err := c.Run(ctx)
	if err != nil {
		return nil, err
	}
	if o.Code != 0 {
		return nil, said.failure(o)
	}
	out := bytes.TrimSpace(o.Stdout)
	switch {
	case len(out) == 0:
		return json.RawMessage("null"), nil
	case o.Truncated:
		return nil, job.Permanent(job.Code(errors.New("the result on standard output is too large: write it to a file and return its path"), "tooLarge"))
	case !json.Valid(out):
		return nil, job.Permanent(job.Code(errors.New("standard output is not one JSON document: print only the result there, and the log to standard error"), "badResult"))
	}
	return kept(ctx, out)
}

// directives are the lines of standard error that say something to Orchis.
type directives struct {
	ctx       context.Context //nolint:containedctx // lives as long as the command
	message   string
	code      string
	permanent bool
}

func (d *directives) line(s string, _ bool) bool {
	word, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	switch word {
	case "::progress":
		number, note, _ := strings.Cut(rest, " ")
		if p, err := strconv.ParseFloat(strings.TrimSuffix(number, "%"), 64); err == nil {
			job.Progress(d.ctx, p, note)
			return true
		}
	case "::error":
		for {
			first, after, _ := strings.Cut(rest, " ")
			if code, ok := strings.CutPrefix(first, "code="); ok {
				d.code, rest = code, after
			} else if first == "permanent" {
				d.permanent, rest = true, after
			} else {
				break
			}
		}
		d.message = rest
		return true
	}
	return false
}

func (d *directives) failure(o Outcome) error {
	message, code := d.message, d.code
	if message == "" {
		message = o.LastLine
	}
	if message == "" {
		message = fmt.Sprintf("the program ended with exit code %d", o.Code)
	}
	if code == "" {
		code = "exit:" + strconv.Itoa(o.Code)
	}
	err := job.Code(errors.New(message), code)
	if d.permanent {
		err = job.Permanent(err)
	}
	return err
}
