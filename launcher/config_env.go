package launcher

import (
	"encoding"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// clusterKey has no variable: BEAMCTL_CLUSTER… tell a process in which cluster it is.
const clusterKey = "cluster"

// envVariable returns the variable of a key: BEAMCTL_READY_TIMEOUT.
func envVariable(key string) string {
	return "BEAMCTL_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// envConfig reads the variables of all keys that are a single value.
func envConfig(environ []string) (*Config, error) {
	env := environment(environ)
	var c Config
	var errs *multierror.Error
	for _, l := range leaves(reflect.ValueOf(&c).Elem(), "") {
		text := env[envVariable(l.key)]
		if text == "" || l.key == clusterKey {
			continue
		}
		if err := setScalar(l.value, text); err != nil {
			errs = multierror.Append(errs, &ConfigError{Where: envVariable(l.key), Text: err.Error()})
			l.value.SetZero()
		}
	}
	return &c, errs.ErrorOrNil()
}

// setScalar sets a value from text. Lists and mappings have no variable, and are left alone.
func setScalar(v reflect.Value, text string) error {
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("is no whole number")
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("is no number")
		}
		v.SetFloat(n)
	}
	return nil
}
