# known_architectures(NVCC RESULT): the GPU architectures that we build for, without those that this nvcc does not know.
# The code for 80 is included as PTX too, which the driver translates for every later GPU outside the list.
function(known_architectures nvcc result)
    execute_process(COMMAND ${nvcc} --list-gpu-arch OUTPUT_VARIABLE known)
    set(chosen "")
    foreach(architecture 75-real 80 86-real 89-real 90-real 100-real 120-real)
        string(REGEX MATCH "[0-9]+" number ${architecture})
        if(known MATCHES "compute_${number}[^0-9]")
            list(APPEND chosen ${architecture})
        endif()
    endforeach()
    set(${result} ${chosen} PARENT_SCOPE)
endfunction()
