package launcher

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// Sources are where a cluster's specification comes from: flags count over environment, that over the file, that over what is detected.
type Sources struct {
	Dir   string   // a directory of the project; "": the current one
	File  string   // the configuration; "": the nearest beamctl.yaml in Dir or above, if there is one
	Env   []string // KEY=VALUE, of which those named BEAMCTL_… count: BEAMCTL_COUNT, BEAMCTL_READY_TIMEOUT
	Flags Config
	// FlagName tells which flag has set a key, for messages; nil: none has.
	FlagName func(key string) string
}

// Resolved is a specification, and where each part of it came from.
type Resolved struct {
	Spec     Spec
	File     string // the configuration that was read; "": none
	Settings []Setting
}

// resolver merges layers. origin knows of each key that is set where it came from.
type resolver struct {
	config Config
	origin map[string]string
	listed []int // of each node of the Spec its index in config.Nodes, -1: none; nil: they are the same
}

// Resolve finds out what cluster is wanted. It runs nothing. Errors: all faults at once, each a *ConfigError; ErrNoProject.
func Resolve(src Sources) (*Resolved, error) {
	dir, file, err := src.place()
	if err != nil {
		return nil, err
	}
	r := &resolver{origin: make(map[string]string)}
	if src.FlagName != nil {
		r.overlay(&src.Flags, src.FlagName)
	}
	unread := r.read(src.Env, file) // what could be read may be wrong, too: all is told at once
	if err := r.detect(dir); err != nil {
		return nil, cmp.Or(unread, err)
	}
	r.pinBuild(environment(src.Env))
	r.defaults(dir)
	spec, faults := r.spec(dir)
	_, ofHealth := r.config.Health.resolve()
	faults = append(faults, ofHealth...)
	for _, f := range spec.faults() {
		faults = append(faults, fault{r.fileKey(f.key), f.text})
	}
	errs := multierror.Append(nil, unread)
	for _, e := range userProtoFaults(environment(src.Env), spec.Env) {
		errs = multierror.Append(errs, e)
	}
	for _, f := range slices.Compact(faults) {
		if unread != nil && !r.isFault(f, unread) {
			continue
		}
		where := r.from(f.key)
		if where == byDefault && file != "" { // what is missing is nowhere
			where = filepath.Base(file)
		}
		errs = multierror.Append(errs, &ConfigError{Where: where, Key: f.key, Text: f.text})
	}
	if err := errs.ErrorOrNil(); err != nil {
		return nil, err
	}
	return &Resolved{Spec: spec, File: file, Settings: r.settings()}, nil
}

// read takes what the environment says, and then the file ("": there is none). Errors: all faults at once.
func (r *resolver) read(environ []string, file string) error {
	var errs *multierror.Error
	env, err := envConfig(environ)
	errs = multierror.Append(errs, err)
	r.overlay(env, envVariable)
	if file != "" {
		f, err := loadConfig(file)
		errs = multierror.Append(errs, err)
		if f != nil {
			r.overlay(&f.config, f.where)
		}
	}
	return errs.ErrorOrNil()
}

// isFault tells whether f is one also where unread could not be read: not if that may be all that f misses.
func (r *resolver) isFault(f fault, unread error) bool {
	if from, set := r.origin[f.key]; !set || from == byDefault {
		return false
	}
	all, _ := errors.AsType[*multierror.Error](unread)
	return !slices.ContainsFunc(all.WrappedErrors(), func(err error) bool {
		c, ok := errors.AsType[*ConfigError](err)
		return ok && (c.Key == f.key || strings.Contains("."+c.Key, ".ports.") && strings.Contains(f.text, noSuchPort))
	})
}

// place returns the project's directory and the configuration file, which is in it.
func (src *Sources) place() (dir, file string, err error) {
	if src.File != "" {
		if file, err = filepath.Abs(src.File); err != nil {
			return "", "", err
		}
		dir = filepath.Dir(file)
		if src.Dir != "" {
			dir = src.Dir
		}
	} else {
		if dir, err = filepath.Abs(src.Dir); err != nil {
			return "", "", err
		}
		if at, ok := nearestConfig(dir); ok {
			dir, file = at, filepath.Join(at, ConfigName)
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", "", fmt.Errorf("project directory: %w", err)
	}
	return dir, file, nil
}

// nearestConfig finds the directory, dir or one above it, that has a configuration file.
func nearestConfig(dir string) (at string, ok bool) {
	for {
		if _, err := os.Lstat(filepath.Join(dir, ConfigName)); err == nil { // one that cannot be read is not passed over
			return dir, true
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}

// from returns where a key's value came from, or that of the nearest key above.
func (r *resolver) from(key string) string {
	for at := key; at != ""; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		if o, ok := r.origin[at]; ok {
			return o
		}
	}
	if from, ok := r.origin["nodes"]; ok && strings.HasPrefix(key, "nodes[") {
		return from
	}
	return byDefault
}

// byDefault is where a setting comes from that nobody has set.
const byDefault = "default"

// leaf is one key of a Config that can be set.
type leaf struct {
	key   string
	value reflect.Value
}

// leaves lists the keys of a Config or a NodeConfig in the order of its fields, those of nested structs with a prefix.
func leaves(v reflect.Value, prefix string) []leaf {
	var out []leaf
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := prefix + f.Tag.Get("yaml")
		switch {
		case f.Anonymous:
			out = append(out, leaves(v.Field(i), prefix)...)
		case f.Type.Kind() == reflect.Struct:
			out = append(out, leaves(v.Field(i), key+".")...)
		default:
			out = append(out, leaf{key, v.Field(i)})
		}
	}
	return out
}

// overlay takes from a layer what no layer before has set; mappings key by key.
func (r *resolver) overlay(layer *Config, from func(key string) string) {
	have := leaves(reflect.ValueOf(&r.config).Elem(), "")
	for i, l := range leaves(reflect.ValueOf(layer).Elem(), "") {
		if l.value.IsZero() {
			continue
		}
		dst := have[i].value
		if l.value.Kind() == reflect.Map {
			if dst.IsNil() {
				dst.Set(reflect.MakeMap(dst.Type()))
			}
			for _, k := range l.value.MapKeys() {
				if !dst.MapIndex(k).IsValid() {
					dst.SetMapIndex(k, l.value.MapIndex(k))
					r.origin[l.key+"."+k.String()] = from(l.key + "." + k.String())
				}
			}
			continue
		}
		if !dst.IsZero() {
			continue
		}
		dst.Set(l.value)
		r.origin[l.key] = from(l.key)
		if l.value.Kind() == reflect.Slice && l.value.Type().Elem().Kind() == reflect.Struct { // nodes, probes
			for i := range l.value.Len() {
				at := fmt.Sprintf("%s[%d]", l.key, i)
				r.origin[at] = from(at)
				r.note(l.value.Index(i), at+".", from)
			}
		}
	}
}

// note notes where each key of a list's element came from.
func (r *resolver) note(v reflect.Value, prefix string, from func(key string) string) {
	for _, l := range leaves(v, prefix) {
		switch {
		case l.value.IsZero():
		case l.value.Kind() == reflect.Map:
			for _, k := range l.value.MapKeys() {
				r.origin[l.key+"."+k.String()] = from(l.key + "." + k.String())
			}
		default:
			r.origin[l.key] = from(l.key)
		}
	}
}

// detect fills in what the directory tells, for the runtime that is asked for, if one is.
func (r *resolver) detect(dir string) error {
	if r.config.Runtime == "" {
		switch {
		case len(r.config.Command) > 0:
			r.overlay(&Config{Launch: Launch{Runtime: "command"}}, func(string) string { return "as there is a command" })
		case r.config.Release != "":
			r.overlay(&Config{Launch: Launch{Runtime: "release"}}, func(string) string { return "as there is a release" })
		}
	}
	if r.config.Mesh == MeshAuto { // which leaves it open
		r.config.Mesh = ""
		delete(r.origin, "mesh")
	}
	found, err := detect(dir, r.config.Runtime, &r.config.Launch)
	if err != nil {
		return err
	}
	for i := range r.config.Nodes { // a node of another kind finds its own
		n := &r.config.Nodes[i]
		if n.Runtime == "" || n.Runtime == cmp.Or(r.config.Runtime, found.config.Runtime) {
			continue
		}
		own, err := detect(dir, n.Runtime, &n.Launch)
		if err != nil {
			return err
		}
		n.Launch = n.over(own.config.Launch)
	}
	r.overlay(&found.config, func(key string) string {
		if key == "mesh" {
			return found.mesh
		}
		return found.marker
	})
	return nil
}

// pinBuild takes from the user's environment what decides where a build puts its results: MIX_ENV and the like.
func (r *resolver) pinBuild(user map[string]string) {
	r.overlay(&Config{Launch: Launch{Env: buildEnv(r.config.Runtime, user)}}, func(key string) string {
		if name := strings.TrimPrefix(key, "env."); user[name] != "" {
			return "$" + name
		}
		return byDefault
	})
}

// defaults fills in the rest.
func (r *resolver) defaults(dir string) {
	d := Config{
		Cluster: clusterNameFrom(append(slices.Clone(r.config.Apps[:min(1, len(r.config.Apps))]), filepath.Base(dir))),
		Name:    DefaultName, Names: "long", Mesh: MeshBeamctl, TLS: TLSNone,
		Ready: ReadyConfig{Timeout: Duration(DefaultReady)}, Stop: StopPolicy{Duration(DefaultStop)},
		Launch: Launch{Ports: defaultPorts},
	}
	if r.config.Count == nil && len(r.config.Nodes) == 0 {
		n := DefaultCount
		d.Count = &n
	}
	if rt := runtimes[r.config.Runtime]; rt != nil {
		d.Distribution = rt.distribution()
	}
	r.overlay(&d, func(string) string { return byDefault })
}

// spec makes the specification of the merged configuration.
func (r *resolver) spec(dir string) (Spec, []fault) {
	c := &r.config
	var faults []fault
	s := Spec{
		Cluster: c.Cluster, Dir: dir, Launch: absolute(c.Launch, dir), Mesh: c.Mesh, TLS: c.TLS, ShortNames: c.Names == "short",
		Ready: time.Duration(c.Ready.Timeout), Retries: c.Ready.Retries, Stop: time.Duration(c.Stop.Timeout), Port: c.EPMDPort,
	}
	if c.Names != "long" && c.Names != "short" {
		faults = append(faults, fault{"names", fmt.Sprintf("%q is neither long nor short", c.Names)})
	}
	nodes := slices.Clone(c.Nodes)
	switch {
	case c.Count != nil && (*c.Count < 1 || *c.Count > maxNodes):
		faults = append(faults, fault{"count", countFault(*c.Count)})
		nodes = []NodeConfig{{Name: "node1"}} // one fault is enough
		r.listed = []int{-1}
	case c.Count != nil:
		nodes = nil
		for i := range *c.Count {
			nodes = append(nodes, NodeConfig{Name: fmt.Sprintf("node%d", i+1)})
			r.listed = append(r.listed, -1)
		}
		for i, n := range c.Nodes {
			at := slices.IndexFunc(nodes, func(o NodeConfig) bool { return o.Name == n.Name })
			if at < 0 {
				faults = append(faults, fault{fmt.Sprintf("nodes[%d].name", i), fmt.Sprintf("count makes node1 to node%d, and none of them is %q", *c.Count, n.Name)})
				continue
			}
			nodes[at].Launch = n.over(nodes[at].Launch)
			r.listed[at] = i
		}
	}
	for i, n := range nodes {
		name := n.Name
		if !strings.Contains(name, "@") {
			sc := scope{Node: n.Name, Index: i + 1, Cluster: c.Cluster}
			sc.port = noPorts
			var err error
			if name, err = sc.expand(c.Name); err != nil {
				faults = append(faults, fault{"name", err.Error()})
				name = n.Name + "@127.0.0.1" // one fault is enough
			}
		}
		label, _, _ := strings.Cut(n.Name, "@")
		s.Nodes = append(s.Nodes, NodeSpec{Name: name, Label: label, Launch: absolute(n.Launch, dir)})
	}
	return s, faults
}

// fileKey turns a key of the Spec, which numbers all nodes, into that of the configuration, which lists some.
func (r *resolver) fileKey(key string) string {
	rest, ok := strings.CutPrefix(key, "nodes[")
	if !ok || r.listed == nil {
		return key
	}
	index, rest, _ := strings.Cut(rest, "]")
	at, err := strconv.Atoi(index)
	if err != nil || at >= len(r.listed) {
		return key
	}
	if r.listed[at] < 0 { // made by count
		return strings.TrimPrefix(rest, ".")
	}
	return fmt.Sprintf("nodes[%d]%s", r.listed[at], rest)
}

// absolute makes the paths of a Launch absolute, which are relative to the project.
func absolute(l Launch, dir string) Launch {
	abs := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	l.SysConfig, l.Release = abs(l.SysConfig), abs(l.Release)
	if l.Bin != nil {
		bin := make([]string, 0, len(l.Bin))
		for _, d := range l.Bin {
			bin = append(bin, abs(d))
		}
		l.Bin = bin
	}
	return l
}
