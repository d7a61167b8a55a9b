package health_test

var resourceFaults = []fault{}
