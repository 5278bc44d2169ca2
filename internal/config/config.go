// Package config reads the settings of all programs from the environment and
// from a .env file, which never overrides the environment.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/orchis-run/orchis/internal/artifact"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

// Off as an address means that nothing is listened on.
const Off = "off"

// Settings are those of all programs. The why of each stands in .env-example.
type Settings struct {
	RedisURL   string `env:"REDIS_URL" why:"Redis, as redis://, rediss:// (TLS) or unix://; redis+sentinel://host1,host2/master; redis+cluster://host1,host2; rediss+ with TLS. Empty: orchis run uses an embedded one, daemons redis://localhost:6379. ORCHIS_REDIS_URL goes first, REDIS_URL_FILE names a file that holds it."`
	RedisCA    string `env:"ORCHIS_REDIS_CA" why:"File with the CA that signed the certificate of Redis, for rediss://; empty: what the system trusts."`
	RedisCert  string `env:"ORCHIS_REDIS_CERT" why:"File with a client certificate, where Redis asks for one."`
	RedisKey   string `env:"ORCHIS_REDIS_KEY" why:"File with the key of that certificate."`
	Prefix     string `env:"ORCHIS_PREFIX" envDefault:"orchis" why:"Begins every key, so that several installations can share a Redis."`
	Partitions int    `env:"ORCHIS_PARTITIONS" envDefault:"0" why:"Into how many partitions a new installation is divided, at most 256; 0: one on a single Redis, 16 on a Cluster. Each is driven by one orchestrator, on about one core. Whoever begins an installation fixes it: the same for all programs."`
	LogLevel   string `env:"LOG_LEVEL" envDefault:"info" why:"debug, info, warn or error."`
	LogFormat  string `env:"ORCHIS_LOG_FORMAT" envDefault:"auto" why:"console, json, or auto: console on a terminal."`
	Project    string `env:"ORCHIS_PROJECT" envDefault:"." why:"The folder that holds recipes/, flows/ and jobs/."`

	SigningKey   string        `env:"ORCHIS_SIGNING_KEY" why:"Secret text of 32 or more letters (openssl rand -hex 32), the same for orchestrators and workers: workers then refuse tickets that no orchestrator signed. Of several, with commas between, the first signs and all verify. ORCHIS_SIGNING_KEY_FILE names a file that holds it."`
	SignedWithin time.Duration `env:"ORCHIS_SIGNED_WITHIN" envDefault:"24h" why:"How old a signed ticket may be; older ones are refused, and published anew. 0: any age."`

	MaxRetries int           `env:"MAX_RETRIES" envDefault:"3" why:"Retries of jobs that do not say."`
	JobTimeout time.Duration `env:"ORCHIS_JOB_TIMEOUT" envDefault:"30m" why:"Timeout of an attempt of jobs that do not say."`
	Lease      time.Duration `env:"ORCHIS_LEASE" envDefault:"10s" why:"How long a ticket stays with a silent worker. The same for all orchestrators and workers."`

	Listen          string        `env:"ORCHIS_LISTEN" envDefault:"127.0.0.1:8420" why:"Where the orchestrator serves the dashboard, the API, health checks and metrics; off: nowhere."`
	API             string        `env:"ORCHIS_API" envDefault:"on" why:"on, read (the dashboard and the API only show) or off (only health checks and metrics)."`
	APIToken        string        `env:"ORCHIS_API_TOKEN" why:"Secret text that every request but health checks must bring; a must when ORCHIS_LISTEN can be reached from other machines. ORCHIS_API_TOKEN_FILE names a file that holds it."`
	BasePath        string        `env:"ORCHIS_BASE_PATH" why:"Where a proxy serves the dashboard and the API, as /orchis."`
	Hosts           []string      `env:"ORCHIS_HOSTS" why:"The names under which the dashboard and the API may be asked, with commas between; empty: any with a token, else only localhost."`
	UnknownHandlers string        `env:"ORCHIS_UNKNOWN_HANDLERS" envDefault:"reject" why:"reject or wait: what becomes of a run whose handler no live worker has."`
	RetentionAge    time.Duration `env:"ORCHIS_RETENTION_AGE" envDefault:"168h" why:"How long ended runs are kept."`
	RetentionCount  int           `env:"ORCHIS_RETENTION_COUNT" envDefault:"10000" why:"How many ended runs are kept in each partition."`
	RetentionBytes  string        `env:"ORCHIS_RETENTION_BYTES" why:"How much memory of Redis the ended runs of each partition may take, as 256MiB; empty: no bound in bytes."`
	Export          string        `env:"ORCHIS_EXPORT" why:"A folder in which a run is written as a line of JSON before it is deleted; empty: it is not written."`
	MemoryHigh      int           `env:"ORCHIS_MEMORY_HIGH" envDefault:"80" why:"Percent of Redis' maxmemory above which submissions are rejected; 0: never."`
	DefinitionMax   string        `env:"ORCHIS_DEFINITION_MAX" envDefault:"1MiB" why:"Longest recipe or flow, of a file or a submission. The same for orchestrators and those who submit."`
	BlobMax         string        `env:"ORCHIS_BLOB_MAX" envDefault:"8MiB" why:"Longest inputs or result of a job, in JSON. Above 256 KiB of inputs and 64 KiB of result they stand in keys of their own. The same for orchestrators and workers."`
	Artifacts       string        `env:"ORCHIS_ARTIFACTS" envDefault:".orchis/artifacts" why:"Where files are kept that jobs hand to one another: a folder that all workers and orchestrators share, or s3://bucket/folder?endpoint=https://host:port&region=name, with keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."`
	ArtifactAge     time.Duration `env:"ORCHIS_ARTIFACT_AGE" envDefault:"24h" why:"How old a file must be for an orchestrator to remove it when no run refers to it."`
	Window          int           `env:"ORCHIS_WINDOW" envDefault:"256" why:"How many items of an iteration are published ahead."`
	RunWindow       int           `env:"ORCHIS_RUN_WINDOW" envDefault:"2000" why:"How many tickets a run has at once, whatever could run. The first 100 stand in the lane of their job, the others one lane lower, so that small runs need not wait behind a large one."`

	TargetLatency time.Duration `env:"ORCHIS_TARGET_LATENCY" envDefault:"30s" why:"The time in which a queue should be worked off: the metric orchis_queue_workers_wanted says how many workers that takes."`
	Traces        string        `env:"OTEL_EXPORTER_OTLP_ENDPOINT" why:"Where orchestrators send traces of runs, as http://localhost:4318 (OTLP over HTTP); empty: nowhere. The other variables of OpenTelemetry count too."`

	WorkerName    string            `env:"ORCHIS_WORKER_NAME" why:"Unique name of the worker; empty: the host's name and a random part."`
	WorkerListen  string            `env:"ORCHIS_WORKER_LISTEN" envDefault:"off" why:"Where the worker serves health checks and metrics, as 127.0.0.1:8421; off: nowhere."`
	Queues        []string          `env:"ORCHIS_QUEUES" envDefault:"default" why:"The queues the worker serves, with commas between."`
	Slots         int               `env:"ORCHIS_SLOTS" envDefault:"0" why:"Attempts at once; 0: the number of CPUs."`
	ShutdownGrace time.Duration     `env:"ORCHIS_SHUTDOWN_GRACE" envDefault:"20s" why:"How long a stopping worker lets jobs finish. Keep it below the stop_grace_period of Compose."`
	Disabled      []string          `env:"ORCHIS_HANDLERS_DISABLED" why:"Built-in handlers this worker does not offer, with commas between."`
	AllowPrivate  bool              `env:"ORCHIS_ALLOW_PRIVATE" envDefault:"false" why:"Lets http, download and inputs that are files reach private addresses."`
	SecretsDir    string            `env:"ORCHIS_SECRETS_DIR" why:"A folder with a file for each secret that jobs may use as secrets.NAME. Without a file of the name the worker takes ORCHIS_SECRET_NAME from its environment."`
	Handlers      []string          `env:"ORCHIS_HANDLERS" why:"The only handlers this worker offers, with commas between; empty: all it has."`
	Files         []string          `env:"ORCHIS_FILES" why:"Folders, with commas between, from which download takes local files, besides the project. orchis run and dev take them from anywhere."`
	LimitMemory   string            `env:"ORCHIS_LIMIT_MEMORY" why:"Address space of a program that exec or a file of jobs/ starts, as 512MiB or 2GiB; empty: no limit."`
	LimitCPU      time.Duration     `env:"ORCHIS_LIMIT_CPU" envDefault:"0s" why:"Time on processors of such a program, in whole seconds; 0s: no limit."`
	LimitFiles    int               `env:"ORCHIS_LIMIT_FILES" envDefault:"0" why:"Open files of such a program; 0: no limit."`
	ExecUser      string            `env:"ORCHIS_EXEC_USER" why:"User as whom such programs run; the worker must be root. Empty: the worker's own."`
	sources       map[string]string // setting -> where it comes from

	StartTimeout time.Duration `env:"ORCHIS_START_TIMEOUT" envDefault:"60s" why:"How long the daemons wait for Redis when they start."`
}

// Load reads the settings.
func Load() (Settings, error) {
	var s Settings
	before := os.Environ()
	if err := godotenv.Load(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("read .env: %w", err)
	}
	if err := env.Parse(&s); err != nil {
		return s, fmt.Errorf("read the settings: %w", err)
	}
	if v := os.Getenv("ORCHIS_REDIS_URL"); v != "" {
		s.RedisURL = v
	}
	if file := os.Getenv("REDIS_URL_FILE"); file != "" && s.RedisURL == "" {
		raw, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return s, fmt.Errorf("read REDIS_URL_FILE: %w", err)
		}
		s.RedisURL = strings.TrimSpace(string(raw))
	}
	if file := os.Getenv("ORCHIS_SIGNING_KEY_FILE"); file != "" && s.SigningKey == "" {
		raw, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return s, fmt.Errorf("read ORCHIS_SIGNING_KEY_FILE: %w", err)
		}
		s.SigningKey = strings.TrimSpace(string(raw))
	}
	if file := os.Getenv("ORCHIS_API_TOKEN_FILE"); file != "" && s.APIToken == "" {
		raw, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return s, fmt.Errorf("read ORCHIS_API_TOKEN_FILE: %w", err)
		}
		s.APIToken = strings.TrimSpace(string(raw))
	}
	s.sources = map[string]string{}
	for _, d := range Describe() {
		set := func(entry string) bool { return strings.HasPrefix(entry, d.Name+"=") && entry != d.Name+"=" }
		switch {
		case slices.ContainsFunc(before, set):
			s.sources[d.Name] = "environment"
		case os.Getenv(d.Name) != "":
			s.sources[d.Name] = ".env"
		}
	}
	if s.RedisURL != os.Getenv("REDIS_URL") {
		s.sources["REDIS_URL"] = "environment"
	}
	return s, s.check()
}

// Source says where a setting comes from: environment, .env or default.
func (s *Settings) Source(name string) string {
	if from := s.sources[name]; from != "" {
		return from
	}
	return "default"
}

func (s *Settings) check() error {
	var errs []error
	refuse := func(bad bool, name string, value any, want string) {
		if bad {
			errs = append(errs, fmt.Errorf("%s is %q, want %s", name, fmt.Sprint(value), want))
		}
	}
	refuse(!slices.Contains([]string{"debug", "info", "warn", "error"}, s.LogLevel), "LOG_LEVEL", s.LogLevel, "debug, info, warn or error")
	refuse(!slices.Contains([]string{"auto", "console", "json"}, s.LogFormat), "ORCHIS_LOG_FORMAT", s.LogFormat, "auto, console or json")
	refuse(s.UnknownHandlers != "reject" && s.UnknownHandlers != "wait", "ORCHIS_UNKNOWN_HANDLERS", s.UnknownHandlers, "reject or wait")
	refuse(!slices.Contains([]string{"on", "read", "off"}, s.API), "ORCHIS_API", s.API, "on, read or off")
	refuse(s.APIToken != "" && len(s.APIToken) < 16, "ORCHIS_API_TOKEN", "(hidden)", "at least 16 letters (openssl rand -hex 32)")
	refuse(s.BasePath != "" && !basePathForm.MatchString(s.BasePath), "ORCHIS_BASE_PATH", s.BasePath, "a path as /orchis")
	refuse(s.MaxRetries < 0, "MAX_RETRIES", s.MaxRetries, "0 or more")
	refuse(s.Lease < 300*time.Millisecond, "ORCHIS_LEASE", s.Lease, "at least 300ms")
	refuse(s.JobTimeout <= 0, "ORCHIS_JOB_TIMEOUT", s.JobTimeout, "a positive duration")
	refuse(s.Partitions < 0 || s.Partitions > 256, "ORCHIS_PARTITIONS", s.Partitions, "0 to 256")
	refuse(s.Slots < 0 || s.Slots > 10_000, "ORCHIS_SLOTS", s.Slots, "0 to 10000")
	for name, address := range map[string]string{"ORCHIS_LISTEN": s.Listen, "ORCHIS_WORKER_LISTEN": s.WorkerListen} {
		_, _, err := net.SplitHostPort(address)
		refuse(address != Off && err != nil, name, address, "off or an address as 127.0.0.1:8420")
	}
	if _, err := wire.ParseKeys(s.SigningKey); err != nil {
		errs = append(errs, fmt.Errorf("ORCHIS_SIGNING_KEY: %w", err))
	}
	for name, file := range map[string]string{"ORCHIS_REDIS_CA": s.RedisCA, "ORCHIS_REDIS_CERT": s.RedisCert, "ORCHIS_REDIS_KEY": s.RedisKey} {
		refuse(file != "" && strings.HasPrefix(s.RedisURL, "redis://"), name, file, "nothing, or a REDIS_URL that begins with rediss://")
	}
	refuse((s.RedisCert == "") != (s.RedisKey == ""), "ORCHIS_REDIS_CERT", s.RedisCert, "ORCHIS_REDIS_KEY beside it, or neither")
	_, err := Bytes(s.LimitMemory)
	refuse(err != nil, "ORCHIS_LIMIT_MEMORY", s.LimitMemory, "a size such as 512MiB")
	most, err := Bytes(s.BlobMax)
	refuse(err != nil || most < 64<<10 || most > 256<<20, "ORCHIS_BLOB_MAX", s.BlobMax, "a size from 64KiB to 256MiB")
	most, err = Bytes(s.DefinitionMax)
	refuse(err != nil || most < 64<<10 || most > 256<<20, "ORCHIS_DEFINITION_MAX", s.DefinitionMax, "a size from 64KiB to 256MiB")
	_, err = Bytes(s.RetentionBytes)
	refuse(err != nil, "ORCHIS_RETENTION_BYTES", s.RetentionBytes, "a size such as 256MiB")
	refuse(s.LimitCPU < 0, "ORCHIS_LIMIT_CPU", s.LimitCPU, "0s or more")
	refuse(s.LimitFiles < 0 || s.LimitFiles > 0 && s.LimitFiles < 8, "ORCHIS_LIMIT_FILES", s.LimitFiles, "0, or 8 and more")
	refuse(s.SignedWithin < 0, "ORCHIS_SIGNED_WITHIN", s.SignedWithin, "0 or more")
	refuse(s.MemoryHigh < 0 || s.MemoryHigh > 100, "ORCHIS_MEMORY_HIGH", s.MemoryHigh, "0 to 100")
	refuse(s.ArtifactAge < time.Second, "ORCHIS_ARTIFACT_AGE", s.ArtifactAge, "1s or more")
	_, err = artifact.Open(s.Artifacts, s.Prefix)
	refuse(err != nil, "ORCHIS_ARTIFACTS", s.Artifacts, "the path of a folder, or s3://bucket/folder?endpoint=https://host:port&region=name")
	refuse(s.TargetLatency < time.Second, "ORCHIS_TARGET_LATENCY", s.TargetLatency, "1s or more")
	refuse(s.Window < 1, "ORCHIS_WINDOW", s.Window, "1 or more")
	refuse(s.RunWindow < 1 || s.RunWindow > 100_000, "ORCHIS_RUN_WINDOW", s.RunWindow, "1 to 100000")
	return errors.Join(errs...)
}

var basePathForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// Bytes reads a size: a number of bytes, or of KiB, MiB or GiB; 0 when empty.
func Bytes(text string) (int64, error) {
	unit, number := int64(1), text
	for name, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(text, name); ok {
			unit, number = size, n
		}
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n <= 0 || n > 1<<50/unit {
		return 0, fmt.Errorf("%q is no size such as 512MiB", text)
	}
	return n * unit, nil
}

// Env is what jobs may read as env beside their own: ORCHIS_ENV_X as X.
func (s *Settings) Env() map[string]string {
	env := map[string]string{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if own, ok := strings.CutPrefix(name, "ORCHIS_ENV_"); ok && own != "" {
			env[own] = value
		}
	}
	return env
}

// Definitions says where definitions are and what they may be.
func (s *Settings) Definitions() flow.Options {
	return flow.Options{Root: s.Project, Retries: s.MaxRetries, Timeout: s.JobTimeout, Env: s.Env(), MaxBytes: s.LargestDefinition()}
}

// LargestDefinition is DefinitionMax in bytes, which was checked.
func (s *Settings) LargestDefinition() int {
	n, err := Bytes(s.DefinitionMax)
	if err != nil {
		return 0
	}
	return int(n)
}

// LargestValue is BlobMax in bytes, which was checked.
func (s *Settings) LargestValue() int {
	n, err := Bytes(s.BlobMax)
	if err != nil {
		return 0
	}
	return int(n)
}

// Setting is one setting for people: its name, default and why.
type Setting struct{ Name, Default, Why string }

// Describe lists all settings.
func Describe() []Setting {
	var out []Setting
	t := reflect.TypeFor[Settings]()
	for field := range t.Fields() {
		tag := field.Tag
		if tag.Get("env") == "" {
			continue
		}
		out = append(out, Setting{tag.Get("env"), tag.Get("envDefault"), tag.Get("why")})
	}
	return out
}

// Example is the text of .env-example.
func Example() string {
	var b strings.Builder
	b.WriteString("# Every setting with its default. Copy to .env and change what you need.\n")
	for _, s := range Describe() {
		fmt.Fprintf(&b, "\n# %s\n# %s=%s\n", s.Why, s.Name, s.Default)
	}
	return b.String()
}

// Logger makes the log that the settings ask for, on standard error.
func (s *Settings) Logger(terminal bool) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(s.LogLevel)
	if err != nil {
		return nil, fmt.Errorf("LOG_LEVEL: %w", err)
	}
	c := zap.NewProductionConfig()
	if s.LogFormat == "console" || s.LogFormat == "auto" && terminal {
		c = zap.NewDevelopmentConfig()
		c.DisableStacktrace, c.DisableCaller = true, true
	}
	c.Level = zap.NewAtomicLevelAt(level)
	c.EncoderConfig.TimeKey = "ts"
	c.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	return c.Build()
}

// Values returns the settings as text, by name.
func Values(s Settings) map[string]string {
	out := map[string]string{}
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		text := fmt.Sprint(v.Field(i).Interface())
		if list, ok := v.Field(i).Interface().([]string); ok {
			text = strings.Join(list, ",")
		}
		if d, ok := v.Field(i).Interface().(time.Duration); ok {
			def := v.Type().Field(i).Tag.Get("envDefault")
			if same, err := time.ParseDuration(def); err == nil && same == d {
				text = def
			}
		}
		out[v.Type().Field(i).Tag.Get("env")] = text
	}
	return out
}
