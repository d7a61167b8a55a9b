package health_test

var codeFaults = []fault{}
