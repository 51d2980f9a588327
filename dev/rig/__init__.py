"""What tests, benchmarks and the smoke test share: servers, programs and scripted participants."""
