"""What a fit returns: draws, diagnostics, forecasts, files."""
